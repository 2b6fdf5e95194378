"""How fast the input pipeline is against bare decoding: VOC-size JPEG + PNG to crops of 321, from files and TFDS shards.

    python -m deeplab_tf.benchmark data [--rounds=5] [--pictures=96] [--memory_samples=50000] [--threads=2]

All variants run in turn in every round; the ratios are medians over the rounds, by the clock and by processor time (the
one to look at on a machine that others use as well). The memory part reads that many samples
through the training pipeline, from files and from shards, and prints the resident memory on the way; 0 leaves it out.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.measuring import resident_megabytes

CROP, BATCH, SIZE = 321, 8, (500, 375)
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)


def main(argv: list[str]) -> None:
    """Runs the benchmark and prints its lines."""
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--memory_samples", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_data_") as folder:
        root = pathlib.Path(folder)
        write_voc(root / "voc", options.pictures)
        variants = make_variants(root, options.threads)
        rates = measure(variants, options.pictures, options.rounds)
        for line in report(rates):
            print(line, flush=True)
        if options.memory_samples:
            for name in ("files, scales and mirror", "shards, scales and mirror"):
                for line in memory(variants[name], options.memory_samples):
                    print(f"{name}: {line}", flush=True)


def write_voc(root: pathlib.Path, count: int) -> None:
    """Rendered scenes at VOC's size in VOC's layout: JPEG of about 45 kB (real ones: 65 to 110), palette masks."""
    from PIL import Image

    from deeplab_tf.datasets import miniature

    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    names = [f"{number:06d}" for number in range(count)]
    for number, name in enumerate(names):
        image, label = miniature.render(number)
        image = cv2.resize(image, SIZE, interpolation=cv2.INTER_CUBIC)
        noise = np.random.default_rng(number).integers(-6, 7, image.shape)
        Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8)).save(root / "JPEGImages" / f"{name}.jpg", quality=90)
        mask = Image.fromarray(cv2.resize(label, SIZE, interpolation=cv2.INTER_NEAREST), "L")
        mask.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        mask.save(root / "SegmentationClass" / f"{name}.png")
    for split in ("train", "val"):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")


def make_variants(root: pathlib.Path, threads: int) -> dict[str, Callable]:
    """Functions of a number of steps that give an iterable of batches."""
    from deeplab_tf.datasets import sources, specs
    from deeplab_tf.datasets.samples import list_samples
    from deeplab_tf.datasets.tfds import builders

    spec = specs.get_dataset("voc2012")
    samples = list_samples(spec, root / "voc", "train")
    shards = builders.write_records("voc2012", root / "voc", root / "shards")
    common = {"crop_size": CROP, "batch_size": BATCH, "threads": threads}

    def training(data_dir, scales):
        return lambda steps: sources.training(spec, data_dir, "train", scales=scales, num_steps=steps, **common)

    return {
        "bare decode": lambda steps: bare_decode(samples, steps, threads),
        "files, mirror": training(root / "voc", (1.0,)),
        "shards, mirror": training(shards, (1.0,)),
        "files, scales and mirror": training(root / "voc", SCALES),
        "shards, scales and mirror": training(shards, SCALES),
    }


def bare_decode(samples, steps: int, threads: int):
    """Reads and decodes both files of every sample and does nothing else."""
    import tensorflow as tf

    def decode(image, label):
        image = tf.io.decode_jpeg(tf.io.read_file(image), channels=3, dct_method="INTEGER_ACCURATE")
        return tf.shape(image), tf.shape(tf.io.decode_png(tf.io.read_file(label)))

    paths = [sample.image for sample in samples], [sample.label for sample in samples]
    dataset = tf.data.Dataset.from_tensor_slices(paths).repeat().map(decode, num_parallel_calls=threads)
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    return dataset.batch(BATCH).take(steps).prefetch(2).with_options(options)


def measure(variants: dict[str, Callable], pictures: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Pictures a second, by the clock and by processor time, of every variant in every round, after a warm-up step.

    Three passes a round: what the pipelines have prefetched before the clock starts then weighs little.
    """
    steps = max(3 * pictures // BATCH, 2)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, batches in variants.items():
            iterator = iter(batches(steps + 1))
            next(iterator)
            clock, processor = time.perf_counter(), time.process_time()
            count = BATCH * sum(1 for _ in iterator)
            rates[name].append((count / (time.perf_counter() - clock), count / (time.process_time() - processor)))
    return rates


def report(rates: dict[str, list[tuple[float, float]]]) -> list[str]:
    """A line a variant: median rates and median ratios to bare decoding in the same round."""
    lines = []
    for name, values in rates.items():
        texts = []
        for column, unit in enumerate(("pictures/s", "pictures/processor second")):
            pairs = [(value[column], bare[column]) for value, bare in zip(values, rates["bare decode"], strict=True)]
            rate, ratio = statistics.median(v for v, _ in pairs), statistics.median(v / b for v, b in pairs)
            texts.append(f"{rate:7.1f} {unit} ({ratio:4.2f} of bare decoding)")
        lines.append(f"{name:25} {', '.join(texts)}")
    return lines


def memory(batches: Callable, samples: int) -> list[str]:
    """Resident memory along `samples` samples, ten lines."""
    steps, lines = samples // BATCH, []
    for step, _ in enumerate(batches(steps), start=1):
        if step % max(steps // 10, 1) == 0:
            lines.append(f"after {step * BATCH:7,d} samples: {resident_megabytes('VmRSS'):7.1f} MB resident")
    return lines
