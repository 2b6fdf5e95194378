"""Our speed beside the best peers', each pair in turn, as one table.

    python -m deeplab_tf.benchmark peers [--data=DIR] [--size=513] [--rounds=5] [--out=FILE] [--into=README.md [--check]]

The network against a plain torch twin (forward pass and step) and against OpenVINO and ONNX Runtime (picture in, probabilities
out), the dense CRF against pydensecrf, and the whole way from picture files to label files against torch with pydensecrf in two
worker processes. DIR as for `benchmark crf`. --out keeps the figures; --into measures nothing: it puts the table of --out
between two marks of a Markdown file, --check tells whether it is there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import tempfile

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.paper_tables import put_into
from deeplab_tf.whole_files import replacing

MARKS = ("<!-- peers: begin -->", "<!-- peers: end -->")
KEPT = pathlib.Path("benchmarks/peers.json")
_PEERS = {"torch": "torch", "pydensecrf": "pydensecrf2", "openvino": "openvino", "onnxruntime": "onnxruntime"}


def main(argv: list[str]) -> None:
    """Parses the command line and runs.

    Raises:
      UserError: a peer that is not installed, no kept figures, or a stale table.
    """
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark peers", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.environ.get("DEEPLAB_TF_TEST_DATA"))
    parser.add_argument("--size", type=int, default=513, help="side of the network's pictures in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=KEPT, help="JSON file of the figures")
    parser.add_argument("--into", help="Markdown file to put the table into")
    parser.add_argument("--check", action="store_true", help="with --into: only tell whether the table is up to date")
    options = parser.parse_args(argv)
    if options.into:
        if not options.out.is_file():
            raise UserError(f"--out={options.out}: no such file, expected kept figures; run without --into first.")
        if not put_into(options.into, text_of(json.loads(options.out.read_text())), options.check, MARKS) and options.check:
            raise UserError(f"{options.into}: its table is stale; write it with --into={options.into} --out={options.out}.")
        return
    for module in _PEERS:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"benchmark peers: no module {module}, expected all of {', '.join(_PEERS)}; install it with pip.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    figures = {
        "processor": _processor(), "threads": os.cpu_count(),
        "versions": {name: importlib.metadata.version(package) for name, package in _PEERS.items()},
        "rows": [*_network(options), *_crf(options), _files(options)],
    }  # fmt: skip
    with replacing(options.out) as partial:
        partial.write_text(json.dumps(figures, indent=1) + "\n")
    print(text_of(figures))


def text_of(figures: dict) -> str:
    """The Markdown table of what `--out` keeps."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    lines = ["| work | ours, s | peer, s | times as fast |", "|---|---|---|---|"]
    lines += [
        f"| {row['work']} | {row['ours']:.3g} | {row['peer']}: {row['theirs']:.3g} | {row['ratio']:.2f} |"
        for row in figures["rows"]
    ]
    return "\n".join([*lines, "", f"{figures['processor']}, {figures['threads']} threads; {versions}.", ""])


def _row(work: str, peer: str, ours: float, theirs: float, ratio: float) -> dict:
    return {"work": work, "peer": peer, "ours": ours, "theirs": theirs, "ratio": ratio}


def _network(options) -> list[dict]:
    from benchmarks import models, serving

    rows, size = [], options.size
    how = argparse.Namespace(methods=("auto",), peer="torch", threads=os.cpu_count(), repeats=options.rounds, memory=False)
    for run in models.PASSES:
        found = {row.method: row for row in models.measure(how, models.TWIN, "float32", size, 1, run)}
        ours, theirs = found["auto"], found["torch"]
        rows.append(_row(f"ResNet-101 ASPP, {size}x{size}, {run}", "torch", ours.seconds, theirs.seconds, ours.over_torch))
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_peers_") as folder:
        how = argparse.Namespace(
            model=models.TWIN, classes=21, width=1.0, weights=None, pictures=None, memory=False, rounds=options.rounds,
            folder=pathlib.Path(folder),
        )  # fmt: skip
        found = {row.variant: row for row in serving.measure(how, ["saved_model", "openvino", "onnx"], "float32", size, 1)
                 if not row.crf}  # fmt: skip
    ours = found.pop("saved_model").p50
    work = f"ResNet-101 ASPP, {size}x{size}, picture in, probabilities out"
    return rows + [_row(work, name, ours, row.p50, row.p50 / ours) for name, row in found.items()]


def _crf(options) -> list[dict]:
    """Means over the four settings; pydensecrf's seconds are ours times the mean ratio."""
    from benchmarks import crf_speed
    from benchmarks.crf_pictures import Real, Synthetic

    rows = []
    kinds = crf_speed.both_kinds(Real(options.data) if options.data else Synthetic(), 3, options.rounds, os.cpu_count())
    for kind, found in kinds.items():
        ours = statistics.geometric_mean(found[str(sigmas)]["seconds"] for sigmas in crf_speed.SETTINGS)
        work = f"dense CRF, 500x375, 21 classes, {kind} score maps, ten iterations"
        rows.append(_row(work, "pydensecrf", ours, ours * found["mean_ratio"], found["mean_ratio"]))
    return rows


def _files(options) -> dict:
    from benchmarks import evaluation

    how = argparse.Namespace(
        data=options.data, model="resnet101_aspp", width=1.0, pictures=6, rounds=max(1, options.rounds // 2), peer="torch"
    )
    seconds, ratio = evaluation.files_in_turn(how, "float32")
    work = f"ResNet-101 ASPP, {'VOC' if options.data else 'rendered'} picture file to label file after the CRF"
    return _row(work, "torch, pydensecrf", seconds["ours"], seconds["torch"], ratio)


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
