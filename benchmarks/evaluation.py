"""Whole evaluations with the CRF: what it costs beside the network, and the way from picture files to label files.

    python -m deeplab_tf.benchmark evaluation [--data=DIR] [--pictures=12] [--precisions=float32] [--peer=torch] [--rounds=3]

stages: the network alone, the CRF alone, and an evaluation of both, over pictures in memory. files: picture files to label
files after the CRF by `predict`; with --peer=torch in turn with the way of the published ports, a torch twin of the network and
pydensecrf in two worker processes. The network's weights are random, so in both the CRF is given the score maps of a weak real
network (DIR as for `benchmark crf`; without it rendered ones) in place of the network's own.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import importlib.util
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator

import numpy as np

from benchmarks.crf_pictures import Real, Synthetic
from benchmarks.measuring import elsewhere, in_turn, median_ratio
from deeplab_tf.errors import UserError

PARTS = ("stages", "files")
PRECISIONS = ("float32", "mixed_bfloat16")


def main(argv: list[str]) -> None:
    """Parses the command line and runs.

    Raises:
      UserError: --peer=torch without torch or pydensecrf.
    """
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark evaluation", description=__doc__.split("\n")[0])
    words = lambda text: tuple(text.split(","))  # noqa: E731
    parser.add_argument("--data", default=os.environ.get("DEEPLAB_TF_TEST_DATA"))
    parser.add_argument("--parts", type=words, default=PARTS, help=", ".join(PARTS))
    parser.add_argument("--model", default="resnet101_aspp", help="the torch twin is always this one")
    parser.add_argument("--width", type=float, default=1.0, help="of our network, to try the benchmark itself")
    parser.add_argument("--precisions", type=words, default=PRECISIONS, help=", ".join(PRECISIONS))
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", choices=("torch",))
    options = parser.parse_args(argv)
    for name, known in (("parts", PARTS), ("precisions", PRECISIONS)):
        if unknown := set(getattr(options, name)) - set(known):
            parser.error(f"--{name}: got {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
    for module in ("torch", "pydensecrf") if options.peer else ():
        if importlib.util.find_spec(module) is None:
            raise UserError(f"--peer=torch: no module {module}, expected both torch and pydensecrf; install them with pip.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _pictures(options) as folder:
        for precision in options.precisions:
            for part in options.parts:
                {"stages": _stages, "files": _files}[part](folder, options, precision)


@contextlib.contextmanager
def _pictures(options) -> Iterator[pathlib.Path]:
    """A folder of NUMBER.png of every picture and NUMBER.npy, its score map."""
    from PIL import Image

    source = Real(options.data) if options.data else Synthetic()
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_evaluation_") as folder:
        folder = pathlib.Path(folder)
        for number, identity in enumerate((source.ids * options.pictures)[: options.pictures]):
            image, probs = source(identity)
            Image.fromarray(image).save(folder / f"{number}.png")
            np.save(folder / f"{number}.npy", probs)
        yield folder


def network(options, precision: str):
    """Ours, of random weights."""
    from deeplab_tf.models.deeplab import build_model

    return build_model(options.model, 21, width=options.width, atrous_method="auto", precision=precision, seed=0)


class _CrfOf:
    """The CRF over the kept score map of the picture that it is given."""

    def __init__(self, folder: pathlib.Path):
        from deeplab_tf.crf.dense_crf import DenseCRF
        from deeplab_tf.datasets.pictures import read_image

        self._crf = DenseCRF(threads=1)
        self.params, self.pictures = self._crf.params, []
        self._probs = {}
        for path in sorted(folder.glob("*.png")):
            image = np.asarray(read_image(path))
            self.pictures.append(image)
            self._probs[image.tobytes()] = np.load(path.with_suffix(".npy"))

    def __call__(self, image, probabilities=None):
        return self._crf(image, self._probs[np.asarray(image).tobytes()])


def _stages(folder, options, precision):
    from deeplab_tf.datasets.specs import get_dataset
    from deeplab_tf.evaluation.evaluate import evaluate

    model, spec, crf = network(options, precision), get_dataset("voc2012"), _CrfOf(folder)
    examples = [{"id": str(number), "image": image, "label": crf(image).argmax(axis=-1)}
                for number, image in enumerate(crf.pictures)]  # fmt: skip

    def whole(crf):
        return lambda: evaluate(model, spec, examples, out_dir=folder / "evaluation", crf=crf, gallery=0, progress=False)

    def crf_alone():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(crf, crf.pictures))

    seconds = in_turn({"network": whole(None), "crf": crf_alone, "both": whole(crf)}, options.rounds)
    rates = {name: len(examples) / statistics.median(taken) for name, taken in seconds.items()}
    slower = min(("network", "crf"), key=rates.get)
    ratio = median_ratio(seconds[slower], seconds["both"])
    print(
        f"{options.model} {precision}, evaluation: network alone {rates['network']:.2f}, CRF alone "
        f"{rates['crf']:.2f}, both {rates['both']:.2f} pictures/s, {ratio:.3f} of the slower one's",
        flush=True,
    )


def files_in_turn(options, precision: str) -> tuple[dict[str, float], float]:
    """Seconds a picture of ours and of the peer, picture files to label files after the CRF, and how many times as fast."""
    with _pictures(options) as folder:
        seconds = _seconds_of_files(folder, options, precision)
    each = {name: statistics.median(taken) / options.pictures for name, taken in seconds.items()}
    return each, median_ratio(seconds["torch"], seconds["ours"])


def _seconds_of_files(folder, options, precision):
    runs = {"ours": our_files(folder, options, precision)}
    if not options.peer:
        return in_turn(runs, options.rounds)
    with elsewhere("benchmarks.torch_port:files_run", str(folder), precision, os.cpu_count()) as runs["torch"]:
        return in_turn(runs, options.rounds)


def _files(folder, options, precision):
    seconds = _seconds_of_files(folder, options, precision)
    rates = {name: options.pictures / statistics.median(taken) for name, taken in seconds.items()}
    told = ", ".join(f"{name} {rate:.2f} pictures/s" for name, rate in rates.items())
    ratio = f", ratio {median_ratio(seconds['torch'], seconds['ours']):.2f}" if options.peer else ""
    print(f"{options.model} {precision}, picture files to label files after the CRF: {told}{ratio}", flush=True)


def our_files(folder: pathlib.Path, options, precision: str):
    """A run of what `predict --write=labels` does with the pictures in `folder`."""
    from deeplab_tf.datasets.specs import get_dataset
    from deeplab_tf.inference.label_files import LabelFiles
    from deeplab_tf.inference.picture_files import find_pictures
    from deeplab_tf.inference.predictions import predict_pictures
    from deeplab_tf.inference.segment import segment

    model, spec, crf = network(options, precision), get_dataset("voc2012"), _CrfOf(folder)
    pictures = find_pictures([str(folder / "*.png")])
    files = LabelFiles(spec.class_names, spec.palette, None, ["labels"])

    def run():
        with tempfile.TemporaryDirectory(dir=folder) as out:
            outcome = predict_pictures(lambda image: segment(model, image), pictures, out, files, crf=crf)
        if outcome.failed:
            raise RuntimeError(f"pictures failed: {outcome.failed}")

    return run
