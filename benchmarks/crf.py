"""The dense CRF against pydensecrf: same labels, speed by number of classes, volumes, the drop-in, the layer, memory, the
parameter search, and what the CRF brings.

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
import tempfile
import time

import numpy as np

from benchmarks import crf_speed
from benchmarks.crf_pictures import Real, Synthetic, softmax
from deeplab_tf.crf import search as crf_search
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.crf.scores import load_scores, save_scores
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import DEFINITIONS, TrimapCurve

PARTS = ("agreement", "speed", "classes", "large", "volume", "dropin", "layer", "memory", "search", "quality")


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
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts: got {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    run(**vars(options))


def run(data=None, parts=PARTS, rounds=5, threads=2, pictures=3, search_pictures=12, json="crf_benchmark.json") -> dict:
    """Runs the parts, prints their lines, writes the figures to `json` and returns them."""
    source = Real(data) if data else Synthetic()
    functions = {
        "agreement": lambda: agreement(source, pictures),
        "speed": lambda: crf_speed.both_kinds(source, pictures, rounds, threads),
        "classes": lambda: crf_speed.by_classes(source, max(1, rounds // 2), threads),
        "large": lambda: crf_speed.large(source, max(1, rounds // 2), threads),
        "volume": lambda: crf_speed.volume(rounds, threads),
        "dropin": lambda: crf_speed.drop_in(source, rounds),
        "layer": lambda: _layer(rounds),
        "memory": lambda: crf_speed.memory(source, threads),
        "search": lambda: search(source, search_pictures, threads),
        "quality": lambda: quality(source, threads),
    }
    figures = {}
    for part in parts:
        if part == "quality" and not data:
            print("quality: left out, no real pictures (--data)")
            continue
        figures[part] = functions[part]()
        _write(json, figures)
    return figures


def _layer(rounds):
    from benchmarks import layer_speed

    return layer_speed.run(rounds)


def _write(path, figures):
    partial = pathlib.Path(path + ".partial")
    partial.write_text(json.dumps(figures, indent=2) + "\n")
    os.replace(partial, path)


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
    print(
        f"agreement with pydensecrf, worst picture: labels equal on {100 * worst['labels']:.4f} %, "
        f"largest difference in Q {worst['difference']:.1e}"
    )
    return worst


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
    figures = {
        "per_setting_ratio": theirs / (whole.seconds / whole.runs),
        "whole_ratio": theirs * whole.runs / found.seconds,
        "runs": found.runs,
        "exhaustive_runs": whole.runs,
        "gap_points": 100 * (whole.rows[0].mean_iou - scores[best]),
    }
    print(
        f"search, {len(pictures)} pictures: {figures['per_setting_ratio']:.2f} times a two-process pydensecrf loop per "
        f"picture and setting, {figures['whole_ratio']:.2f} times as a whole ({found.runs} of {whole.runs} runs); the "
        f"winner is {figures['gap_points']:.3f} points of mIoU below the exhaustive one"
    )
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
        noisy = softmax(np.log(probs + 1e-3) + rng.normal(scale=1.5, size=probs.shape))
        save_scores(f"{folder}/{identity}.npz", noisy)
        pictures.append(crf_search.Picture(identity, f"{folder}/{identity}.npz", *[f"{folder}/{identity}_picture.npz"] * 2))
    return pictures, {
        "num_classes": 21,
        "read_image": lambda path: np.load(path)["image"],
        "read_label": lambda path: np.load(path)["label"],
    }


def _reading(spec):
    from deeplab_tf.datasets.masks import read_label
    from deeplab_tf.datasets.pictures import read_image

    return {
        "num_classes": spec.num_classes,
        "ignore_label": spec.ignore_label,
        "read_image": lambda path: np.asarray(read_image(path)),
        "read_label": lambda path: np.asarray(read_label(path, spec)),
    }


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
        found = crf_search.search(
            source.cached(folder, "train_aug"),
            log_file=f"{folder}/log.jsonl",
            threads=threads,
            report=lambda line: None,
            **options,
        )
    crf, figures = DenseCRF(found.params, threads=threads), {"params": dataclasses.asdict(found.params)}
    tallies = {
        step: [ConfusionMatrix(21), *(TrimapCurve(21, name, max_width=5) for name in DEFINITIONS)]
        for step in ("before", "after")
    }
    for sample in source.samples["val"]:
        image, probs = source(sample.id)
        for step, maps in (("before", probs), ("after", crf(image, probs))):
            for tally in tallies[step]:
                tally.update(options["read_label"](sample.label), maps.argmax(axis=-1))
    for step, (whole, *bands) in tallies.items():
        figures[step] = {"whole": 100 * whole.mean_iou()} | {
            name: 100 * band.mean_iou()[5] for name, band in zip(DEFINITIONS, bands, strict=True)
        }
    told = {"whole": "whole pictures", "label_change": "within 5 pixels of a label change", "void": "of a contour in void"}
    changes = ", ".join(f"{text} {figures['before'][name]:.2f} -> {figures['after'][name]:.2f}" for name, text in told.items())
    print(f"val mIoU in %: {changes}; with {found.params}")
    return figures
