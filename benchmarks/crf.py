"""The dense CRF against pydensecrf: same labels, speed, memory, the parameter search, and what the CRF brings.

    python -m deeplab_tf.benchmark crf [--data=DIR] [--parts=agreement,speed,...] [--rounds=5] [--json=FILE]

Both are timed in turn in every round; what is printed are ratios of medians (pydensecrf / ours). DIR holds
data/VOCdevkit/VOC2012 and weights/deeplabv3_257_mv_gpu.tflite (default: the environment's DEEPLAB_TF_TEST_DATA); without
it pictures and scores are synthetic and the parts that need real ones are left out.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time

import numpy as np

from deeplab_tf.crf import search as crf_search
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.crf.scores import load_scores, save_scores
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import DEFINITIONS, TrimapCurve

SETTINGS = ((80, 13, 3), (67, 3, 1), (49, 5, 3), (30, 3, 3))  # sigma_alpha, sigma_beta, sigma_gamma
_WINDOW = 321  # pixels
PARTS = ("agreement", "speed", "large", "memory", "search", "quality")


def main(argv: list[str]) -> None:
    """Parses the command line and runs."""
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark crf")
    parser.add_argument("--data", default=os.environ.get("DEEPLAB_TF_TEST_DATA"))
    parser.add_argument("--parts", default=",".join(PARTS), type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=3, help="pictures of the agreement and speed parts")
    parser.add_argument("--search_pictures", type=int, default=12, help="of the search part")
    parser.add_argument("--json", default="crf_benchmark.json")
    run(**vars(parser.parse_args(argv)))


def run(data=None, parts=PARTS, rounds=5, threads=2, pictures=3, search_pictures=12, json="crf_benchmark.json") -> dict:
    """Runs the parts, prints their lines, writes the figures to `json` and returns them."""
    source = Real(data) if data else Synthetic()
    functions = {"agreement": lambda: agreement(source, pictures), "speed": lambda: speed(source, pictures, rounds, threads),
                 "large": lambda: large(max(1, rounds // 2), threads), "memory": lambda: memory(threads),
                 "search": lambda: search(source, search_pictures, threads), "quality": lambda: quality(source, threads)}
    figures = {}
    for part in parts:
        if part == "quality" and not data:
            print("quality: left out, no real pictures (--data)")
            continue
        figures[part] = functions[part]()
        _write(json, figures)
    return figures


def _write(path, figures):
    partial = pathlib.Path(path + ".partial")
    partial.write_text(json.dumps(figures, indent=2) + "\n")
    os.replace(partial, path)


class Synthetic:
    """Pictures of noisy blobs with probabilities that follow them in part."""

    ids = ("0", "1", "2")

    def __call__(self, identity, height=375, width=500, classes=21):
        import cv2
        rng = np.random.default_rng(int(identity))
        probs = _softmax(cv2.resize(rng.normal(size=(height // 8, width // 8, classes)).astype(np.float32) * 3,
                                    (width, height)))
        light = cv2.resize(rng.normal(size=(height // 40 + 2, width // 40 + 2, 3)).astype(np.float32) * 40, (width, height))
        noise = rng.normal(scale=4, size=(height, width, 3))
        image = rng.integers(30, 226, (classes, 3))[probs.argmax(axis=-1)] + light + noise
        return np.clip(image, 0, 255).astype(np.uint8), probs


class Real:
    """VOC pictures and the probabilities of a weak real network: the mean over overlapping square windows, in which it sees
    objects at about the scale it was trained at (squeezed into one input, the val pictures have 40 % mIoU instead of 54 %)."""

    def __init__(self, data):
        from deeplab_tf.datasets.samples import list_samples
        from deeplab_tf.datasets.specs import get_dataset
        self.spec = get_dataset("voc2012")
        folder = str(pathlib.Path(data) / "data/VOCdevkit/VOC2012")
        self.samples = {split: list_samples(self.spec, folder, split) for split in ("train_aug", "val")}
        self.ids = tuple(sample.id for sample in self.samples["train_aug"])
        self._files = {sample.id: sample for split in self.samples.values() for sample in split}
        import tensorflow as tf
        self._network = tf.lite.Interpreter(str(pathlib.Path(data) / "weights/deeplabv3_257_mv_gpu.tflite"), num_threads=1)
        self._network.allocate_tensors()

    def __call__(self, identity):
        import cv2

        from deeplab_tf.datasets.pictures import read_image
        image = np.asarray(read_image(self._files[identity].image))
        height, width = image.shape[:2]
        side = min(_WINDOW, height, width)
        logits, seen = np.zeros((height, width, 21), np.float32), np.zeros((height, width, 1), np.float32)
        for top in sorted({0, (height - side) // 2, height - side}):
            for left in sorted({0, (width - side) // 2, width - side}):
                window = np.s_[top : top + side, left : left + side]
                small = cv2.resize(image[window], (257, 257), interpolation=cv2.INTER_AREA)
                logits[window] += cv2.resize(self._run(small), (side, side))
                seen[window] += 1
        return image, _softmax(logits / seen)

    def _run(self, picture):
        """uint8 [257, 257, 3] -> logits float32 [257, 257, 21]."""
        network = self._network
        network.set_tensor(network.get_input_details()[0]["index"], picture.astype(np.float32)[None] / 127.5 - 1)
        network.invoke()
        return network.get_tensor(network.get_output_details()[0]["index"])[0]

    def cached(self, folder, split):
        """Score files of a split, as pictures for the search."""
        pictures = []
        for sample in self.samples[split]:
            score = str(pathlib.Path(folder) / f"{sample.id}.npz")
            if not os.path.exists(score):
                save_scores(score, self(sample.id)[1])
            pictures.append(crf_search.Picture(sample.id, score, sample.image, sample.label))
        return pictures


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def agreement(source, pictures) -> dict:
    """Equal labels and largest difference in Q, on the source's score maps and on random ones."""
    worst = {"labels": 1.0, "difference": 0.0}
    for giver in (source, Synthetic()):
        for identity in giver.ids[:pictures]:
            image, probs = giver(identity)
            for normalization in ("symmetric", "after"):
                params = CrfParams(normalization=normalization)
                ours, theirs = (DenseCRF(params, one)(image, probs) for one in ("auto", "pydensecrf"))
                worst["labels"] = min(worst["labels"], float((ours.argmax(-1) == theirs.argmax(-1)).mean()))
                worst["difference"] = max(worst["difference"], float(abs(ours - theirs).max()))
    print(f"agreement with pydensecrf, worst picture: labels equal on {100 * worst['labels']:.4f} %, "
          f"largest difference in Q {worst['difference']:.1e}")
    return worst


def _in_turn(rounds, *calls):
    """Wall and processor seconds of each call, medians over rounds in which they take turns."""
    taken = [[] for _ in calls]
    for _ in range(rounds + 1):
        for times, call in zip(taken, calls, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return [tuple(map(statistics.median, zip(*times[1:], strict=True))) for times in taken]


def _compare(image, probs, sigmas, rounds, threads):
    params = CrfParams(4, *sigmas[:2], 3, sigmas[2])
    ours, theirs = (DenseCRF(params, one, threads=threads) for one in ("auto", "pydensecrf"))
    return _in_turn(rounds, lambda: ours(image, probs), lambda: theirs(image, probs))


def _landscape(source, count):
    """Pictures of 375 x 500, the size the targets speak of."""
    found = []
    for identity in source.ids:
        image, probs = source(identity)
        if image.shape == (375, 500, 3):
            found.append((image, probs))
        if len(found) == count:
            break
    return found


def speed(source, pictures, rounds, threads) -> dict:
    """Whole calls, 500x375x21, 10 iterations."""
    figures, chosen = {}, _landscape(source, pictures)
    for sigmas in SETTINGS:
        taken = [_compare(*picture, sigmas, rounds, threads) for picture in chosen]
        figures[str(sigmas)] = {"ratio": _mean(theirs[0] / ours[0] for ours, theirs in taken),
                                "processor_ratio": _mean(theirs[1] / ours[1] for ours, theirs in taken),
                                "seconds": statistics.median(ours[0] for ours, _ in taken)}
        print(f"500x375x21, sigmas {sigmas}: {figures[str(sigmas)]['ratio']:.2f} times pydensecrf's speed on {threads} "
              f"threads, {figures[str(sigmas)]['processor_ratio']:.2f} times per processor second")
    figures["geometric_mean"] = _mean(figures[str(sigmas)]["ratio"] for sigmas in SETTINGS)
    print(f"geometric mean {figures['geometric_mean']:.2f}")
    return figures


def _mean(ratios):
    return float(np.exp(np.mean(np.log(list(ratios)))))


def large(rounds, threads) -> dict:
    """2048x1024x19."""
    ours, theirs = _compare(*Synthetic()("0", 1024, 2048, 19), SETTINGS[0], rounds, threads)
    figures = {"ratio": theirs[0] / ours[0], "processor_ratio": theirs[1] / ours[1], "seconds": ours[0]}
    print(f"2048x1024x19: {figures['ratio']:.2f} times pydensecrf's speed")
    return figures


def memory(threads) -> dict:
    """Peak memory of one call in a process of its own, 500x375x21, above what was in use before."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_crf_") as folder:
        for name, array in zip(("image", "probs"), Synthetic()("0"), strict=True):
            np.save(f"{folder}/{name}.npy", array)
        for sigmas in SETTINGS:
            ours, theirs = (_in_own_process(_peak, folder, one, sigmas, threads) for one in ("auto", "pydensecrf"))
            figures[str(sigmas)] = {"ours_mb": ours, "pydensecrf_mb": theirs, "ratio": ours / theirs}
            print(f"memory, sigmas {sigmas}: {ours:.0f} MB, pydensecrf {theirs:.0f} MB")
    return figures


def _in_own_process(function, *arguments):
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _peak(folder, backend, sigmas, threads):
    image, probs = np.load(f"{folder}/image.npy"), np.load(f"{folder}/probs.npy")
    crf = DenseCRF(CrfParams(4, *sigmas[:2], 3, sigmas[2]), backend, threads=threads)
    crf(image[:8, :8], probs[:8, :8])
    before = _most_resident()
    crf(image, probs)
    return (_most_resident() - before) / 1024


def _most_resident():
    """Largest resident size of this process so far, KiB; getrusage would count the parent's before exec."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def search(source, count, threads) -> dict:
    """The search and the exhaustive one against an exhaustive loop over pydensecrf in two processes."""
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_crf_") as folder:
        pictures, options = _search_pictures(source, folder, count)
        options = {**options, "threads": threads, "finer": False, "report": lambda line: None}
        found = crf_search.search(pictures, log_file=f"{folder}/found.jsonl", **options)
        whole = crf_search.search(pictures, log_file=f"{folder}/whole.jsonl", exhaustive=True, **options)
        settings = crf_search.Grid().settings()
        # 17 shares no factor with the settings' number: the sample spreads over all of them and all pictures.
        sample = [(settings[17 * i % len(settings)], pictures[i % len(pictures)]) for i in range(2 * len(pictures))]
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(_pydensecrf_job, sample[:2]))
            start = time.perf_counter()
            list(pool.map(_pydensecrf_job, sample))
            theirs = (time.perf_counter() - start) / len(sample)
    scores = {row.setting: row.mean_iou for row in whole.rows}
    best = found.rows[0].setting
    figures = {"per_setting_ratio": theirs / (whole.seconds / whole.runs),
               "whole_ratio": theirs * whole.runs / found.seconds, "runs": found.runs, "exhaustive_runs": whole.runs,
               "gap_points": 100 * (whole.rows[0].mean_iou - scores[best])}
    print(f"search, {len(pictures)} pictures: {figures['per_setting_ratio']:.2f} times a two-process pydensecrf loop per "
          f"picture and setting, {figures['whole_ratio']:.2f} times as a whole ({found.runs} of {whole.runs} runs); the "
          f"winner is {figures['gap_points']:.3f} points of mIoU below the exhaustive one")
    return figures


def _search_pictures(source, folder, count):
    if isinstance(source, Real):
        return source.cached(folder, "train_aug")[:count], _reading(source.spec)
    pictures = []
    for identity in map(str, range(count)):
        image, probs = source(identity, 188, 250)
        rng = np.random.default_rng(int(identity))
        label = probs.argmax(axis=-1)
        np.savez(f"{folder}/{identity}_picture.npz", image=image, label=label)
        noisy = _softmax(np.log(probs + 1e-3) + rng.normal(scale=1.5, size=probs.shape))
        save_scores(f"{folder}/{identity}.npz", noisy)
        pictures.append(crf_search.Picture(identity, f"{folder}/{identity}.npz", *[f"{folder}/{identity}_picture.npz"] * 2))
    return pictures, {"num_classes": 21, "read_image": lambda path: np.load(path)["image"],
                      "read_label": lambda path: np.load(path)["label"]}


def _reading(spec):
    from deeplab_tf.datasets.masks import read_label
    from deeplab_tf.datasets.pictures import read_image
    return {"num_classes": spec.num_classes, "ignore_label": spec.ignore_label,
            "read_image": lambda path: np.asarray(read_image(path)),
            "read_label": lambda path: np.asarray(read_label(path, spec))}


def _pydensecrf_job(job):
    setting, picture = job
    if picture.image.endswith(".npz"):
        image = np.load(picture.image)["image"]
    else:
        import cv2
        image = np.ascontiguousarray(cv2.imread(picture.image)[:, :, ::-1])
    params = dataclasses.replace(CrfParams(w2=3, sigma_gamma=3), **setting._asdict())
    return DenseCRF(params, "pydensecrf")(image, load_scores(picture.score)).argmax(axis=-1).sum()


def quality(source, threads) -> dict:
    """mIoU on the val pictures before and after a CRF searched on the train pictures: whole, and in bands of 5 pixels."""
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_crf_") as folder:
        options = _reading(source.spec)
        found = crf_search.search(source.cached(folder, "train_aug"), log_file=f"{folder}/log.jsonl", threads=threads,
                                  report=lambda line: None, **options)
    crf, figures = DenseCRF(found.params, threads=threads), {"params": dataclasses.asdict(found.params)}
    tallies = {step: [ConfusionMatrix(21), *(TrimapCurve(21, name, max_width=5) for name in DEFINITIONS)]
               for step in ("before", "after")}
    for sample in source.samples["val"]:
        image, probs = source(sample.id)
        for step, maps in (("before", probs), ("after", crf(image, probs))):
            for tally in tallies[step]:
                tally.update(options["read_label"](sample.label), maps.argmax(axis=-1))
    for step, (whole, *bands) in tallies.items():
        figures[step] = {"whole": 100 * whole.mean_iou()} | {
            name: 100 * band.mean_iou()[5] for name, band in zip(DEFINITIONS, bands, strict=True)}
    told = {"whole": "whole pictures", "label_change": "within 5 pixels of a label change", "void": "of a contour in void"}
    changes = ", ".join(f"{text} {figures['before'][name]:.2f} -> {figures['after'][name]:.2f}" for name, text in told.items())
    print(f"val mIoU in %: {changes}; with {found.params}")
    return figures
