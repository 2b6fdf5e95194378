"""What the whole trainer (reading, augmentation, step, log) keeps of the bare step's rate, on VOC-size pictures from files.

    python -m deeplab_tf.benchmark train [--model=resnet101_aspp] [--crop_size=321] [--batch_size=1]
        [--precisions=float32,mixed_bfloat16] [--steps=4] [--rounds=5]

The bare step repeats one batch that lies in memory. Both run in turn in every round and the ratio is the median over the
rounds; checkpoints, which come every few hundred steps, are left out. The line of a precision also says how fast its bare
step is against the first one's.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
from collections.abc import Callable

from benchmarks.data import SCALES, write_voc
from benchmarks.measuring import in_turn, median_ratio


def main(argv: list[str]) -> None:
    """Runs the benchmark and prints a line a precision."""
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark train")
    parser.add_argument("--model", default="resnet101_aspp")
    parser.add_argument("--crop_size", type=int, default=321)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--precisions", default="float32,mixed_bfloat16")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    precisions = options.precisions.split(",")
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_train_") as folder:
        root = pathlib.Path(folder)
        write_voc(root / "voc", 48)
        runs: dict[str, Callable] = {}
        for precision in precisions:
            runs[f"{precision} bare"], runs[f"{precision} trainer"] = make_runs(root, precision, options)
        seconds = in_turn(runs, options.rounds)
    for precision in precisions:
        bare, trainer = seconds[f"{precision} bare"], seconds[f"{precision} trainer"]
        print(
            f"{options.model} {precision} {options.crop_size} x {options.batch_size}: bare step "
            f"{statistics.median(bare) / options.steps:.3f} s, {median_ratio(seconds[f'{precisions[0]} bare'], bare):.2f} x "
            f"{precisions[0]}; whole trainer {median_ratio(bare, trainer):.3f} of its rate"
        )


def make_runs(root: pathlib.Path, precision: str, options) -> tuple[Callable, Callable]:
    """Functions that make `options.steps` bare steps, and as many of the trainer, going on where it stopped."""
    from deeplab_tf.datasets import sources, specs
    from deeplab_tf.models.deeplab import build_model
    from deeplab_tf.training.loop import Pace, run_steps
    from deeplab_tf.training.recorder import Recorder
    from deeplab_tf.training.solver import CaffeSGD
    from deeplab_tf.training.step import make_step
    from deeplab_tf.training.strategies import open_devices

    spec, devices = specs.get_dataset("voc2012"), open_devices()
    model = build_model(options.model, atrous_method="auto", precision=precision)
    optimizer = CaffeSGD(1e-8)  # the rate does not matter, and the weights stay sound
    step = make_step(model, optimizer)
    batches = iter(sources.training(
        spec, root / "voc", "train", crop_size=options.crop_size, batch_size=options.batch_size, scales=SCALES
    ))  # fmt: skip
    batch = next(batches)
    done = 0

    def bare():
        for _ in range(options.steps):
            float(step(batch["image"], batch["label"])["loss"])

    def trainer():
        nonlocal done
        log = root / f"{precision}.jsonl"
        with Recorder(log, spec.class_names, start=done, steps=done + options.steps) as recorder:
            run_steps(step, batches, model, optimizer, _Nowhere(), recorder, start=done, devices=devices,
                      pace=Pace(done + options.steps, log_every=10, save_every=10**9, collapse_after=500))  # fmt: skip
        done += options.steps

    return bare, trainer


class _Nowhere:
    """Stands for the checkpoints and keeps none."""

    def save(self, model, optimizer, step, losses):
        """Does nothing."""

    def paths(self):
        return []
