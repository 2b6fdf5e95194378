"""How fast a network answers in every format that it can leave in, and which one to take on this machine.

    python -m deeplab_tf.benchmark serving [--model=resnet101_aspp] [--sizes=321,513] [--batches=1,8] [--folder=DIR]
                                           [--parts=float32,int8] [--pictures=FOLDER]

Keras is the network of the zoo as `segment` runs it; the others are its artefacts, each in a process of its own (that of the
SavedModel with the settings of docs/serving.md), all of one precision and size in turn in every round. p50 and p95 are of the
whole answer: uint8 pictures in, probabilities at full size out; `crf` is the same with the dense CRF behind it (one thread,
batch 1), memory what an answer adds to its process at its peak once the network is loaded. Artefacts and rows are kept in
--folder: what is there is not made or measured again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib

import numpy as np

from benchmarks.measuring import elsewhere, in_turn, peak_megabytes
from deeplab_tf.errors import UserError
from deeplab_tf.models.zoo import list_models
from deeplab_tf.serving.formats import FORMATS, PRECISIONS

KERAS = "keras"
_BUILT_IN = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_SERVED = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}  # as docs/serving.md has it


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement; seconds of a whole batch, megabytes at the peak."""

    variant: str
    precision: str
    size: int
    batch: int
    crf: bool
    p50: float
    p95: float
    megabytes: float | None

    @property
    def pictures(self) -> float:
        """A second."""
        return self.batch / self.p50


def main(argv: list[str]) -> None:
    """Runs the parts that are missing, prints every row and what is recommended.

    Raises:
      UserError: an unknown part or model; no calibration pictures for int8.
    """
    options = _parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options.folder.mkdir(parents=True, exist_ok=True)
    _claim(options)
    store = options.folder / "rows.jsonl"
    rows = [Row(**json.loads(line)) for line in store.read_text().splitlines()] if store.exists() else []
    for precision in options.parts:
        for size in options.sizes:
            for batch in options.batches:
                wanted = [name for name in _variants(precision) if not _measured(rows, name, precision, size, batch)]
                if not wanted:
                    continue
                found = measure(options, wanted, precision, size, batch)
                with store.open("a") as file:
                    file.writelines(json.dumps(dataclasses.asdict(row)) + "\n" for row in found)
                rows += found
    for row in rows:
        print(_line(row))
    print("\n".join(_recommended(rows)))


def _claim(options) -> None:
    """Writes what the artefacts and rows of a new folder are of; refuses a folder of another network or other calibration."""
    from deeplab_tf.inference.digest import path_digest

    path = options.folder / "settings.json"
    asked = {name: getattr(options, name) for name in ("model", "classes", "width", "weights", "pictures")}
    # Files by what they hold: other weights may lie under the same name.
    asked |= {name: path_digest(asked[name]) for name in ("weights", "pictures") if os.path.exists(asked[name] or "")}
    if not path.exists():
        path.write_text(json.dumps(asked) + "\n")
    there = json.loads(path.read_text())
    if changed := [f"--{name}" for name in asked if there.get(name) != asked[name]]:
        raise UserError(
            f"--folder={options.folder}: its artefacts and rows came about with other {', '.join(changed)}, "
            "expected the same to go on; give another folder."
        )


def _parse(argv):
    numbers = lambda text: tuple(map(int, text.split(",")))  # noqa: E731
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark serving", description=__doc__.split("\n")[0])
    parser.add_argument("--parts", default=PRECISIONS, type=lambda text: text.split(","), help="precisions")
    parser.add_argument("--model", default="resnet101_aspp")
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--weights", help="a file; without one they are random, of which int8's speed knows nothing")
    parser.add_argument("--sizes", default=(321, 513), type=numbers)
    parser.add_argument("--batches", default=(1, 2, 4, 8), type=numbers)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pictures", help="folder of pictures to calibrate int8 with; without one they are noise")
    parser.add_argument("--folder", default="serving_benchmark", type=pathlib.Path)
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PRECISIONS):
        raise UserError(f"--parts: got {', '.join(sorted(unknown))}, expected some of {', '.join(PRECISIONS)}.")
    if options.model not in list_models():
        raise UserError(f"--model: got {options.model}, expected one of {', '.join(list_models())}.")
    return options


def _variants(precision: str) -> list[str]:
    """What there is in a precision and can run here."""
    found = [KERAS] if precision in _BUILT_IN else []
    for name, row in FORMATS.items():
        if precision in row.precisions and all(importlib.util.find_spec(module) for module in row.modules):
            found.append(name)
    return found


def _measured(rows: list[Row], *of) -> bool:
    return any((row.variant, row.precision, row.size, row.batch) == of for row in rows)


def measure(options, variants: list[str], precision: str, size: int, batch: int) -> list[Row]:
    """All variants of one precision, size and batch in turn, alone and where a picture comes alone with the CRF behind them."""
    network = {"model": options.model, "classes": options.classes, "width": options.width, "weights": options.weights,
               "precision": precision}  # fmt: skip
    cases = {}
    for variant in variants:
        place = network if variant == KERAS else str(_artefact(options, network, variant))
        for crf in (False, True) if batch == 1 else (False,):
            cases[variant, crf] = ("benchmarks.serving:runner", variant, place, size, batch, crf)
    seconds = {}
    environment = {case: _SERVED if case[0] == "saved_model" else None for case in cases}
    with contextlib.ExitStack() as stack:
        runs = {case: stack.enter_context(elsewhere(*cases[case], environment=environment[case])) for case in cases}
        seconds = in_turn(runs, options.rounds)
    memory = {
        case: peak_megabytes(*arguments, environment=environment[case]) if options.memory else None
        for case, arguments in cases.items()
    }
    return [
        Row(variant, precision, size, batch, crf, *map(float, np.percentile(times, (50, 95))), memory[variant, crf])
        for (variant, crf), times in seconds.items()
    ]


def _artefact(options, network: dict, variant: str) -> pathlib.Path:
    """The network in a format, made where it is not there."""
    precision = network["precision"]
    path = options.folder / f"{options.model}-{options.width:g}-{precision}-{variant}{FORMATS[variant].suffix}"
    if not path.exists():
        from deeplab_tf.serving.exporting import export_model

        print(f"making {path}", flush=True)
        calibration = _calibration(options) if precision == "int8" else ()
        own = variant == "saved_model"
        model = build(**network if own else network | {"precision": "float32"})
        export_model(model, path, format=variant, precision=None if own else precision, calibration=calibration)
    return path


def _calibration(options) -> list[np.ndarray]:
    if not options.pictures:
        return [_picture(max(options.sizes), seed) for seed in range(16)]
    from deeplab_tf.inference.picture_files import find_pictures, read_upright

    return [read_upright(picture.path) for picture in find_pictures([options.pictures])[:64]]


def build(model: str, classes: int, width: float, weights: str | None, precision: str):
    """A network of the zoo as it is served.

    Random weights get a head whose logits deviate by 1. In larger ones, 4 to 7 as a ResNet-101's are drawn, a rounding to
    bfloat16 tips labels that are nearly tied, and `export_model` takes it for a graph that was misread.
    """
    from deeplab_tf.models.deeplab import build_model
    from deeplab_tf.training.solver import HEAD_LAYERS

    network = build_model(model, classes, width=width, weights=weights, atrous_method="auto", precision=_BUILT_IN[precision])
    if weights is None:
        deviation = float(np.std(network(_picture(129, 0)[None].astype(np.float32) - 128)))
        for layer in network.layers:
            if layer.name.startswith(HEAD_LAYERS):
                layer.kernel.assign(layer.kernel / deviation)
    return network


def runner(variant: str, place, size: int, batch: int, crf: bool):
    """A run of one batch, and of the CRF behind a single picture; `place` is a network's settings or an artefact."""
    images = np.stack([_picture(size, seed) for seed in range(batch)])
    if variant == KERAS:
        from deeplab_tf.inference.predictor import predictor_for

        predictor = predictor_for(build(**place))
        answer = lambda: predictor.run(images).numpy()  # noqa: E731
    else:
        from deeplab_tf.inference.runtimes import open_artefact

        _, run = open_artefact(place)
        answer = lambda: run(images)  # noqa: E731
    if not crf:
        return answer
    from deeplab_tf.crf.dense_crf import DenseCRF

    refine = DenseCRF(threads=1)
    return lambda: refine(images[0], answer()[0])


def _picture(size: int, seed: int) -> np.ndarray:
    """Smooth noise, uint8 [size, size, 3]: a CRF's lattice of it is as full as that of a picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 16 + 1, size // 16 + 1, 3), np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))[:size, :size]


def _line(row: Row) -> str:
    memory = "" if row.megabytes is None else f"  {row.megabytes:6,.0f} MB"
    return (f"{row.variant:12} {row.precision:9} {row.size:5} batch {row.batch}  {'crf' if row.crf else '   '}  "
            f"p50 {row.p50:7.3f} s  p95 {row.p95:7.3f} s  {row.pictures:7.2f} pictures/s{memory}")  # fmt: skip


def _recommended(rows: list[Row]) -> list[str]:
    """The fastest of a size where pictures come one at a time, and what fewer bits would bring."""
    said = []
    for size in sorted({row.size for row in rows}):
        alone = [row for row in rows if row.size == size and row.batch == 1 and not row.crf]
        exact = [row for row in alone if row.precision == "float32"]
        if not exact:
            continue
        best, other = min(exact, key=lambda row: row.p50), min(alone, key=lambda row: row.p50)
        line = f"{size}: take {best.variant} in float32 ({best.p50:.3f} s)"
        if other.precision != "float32":
            line += (
                f"; {other.variant} in {other.precision} takes {other.p50 / best.p50:.2f} of its time: export tells what "
                "it costs in mean IoU"
            )
        said.append(line)
    return said
