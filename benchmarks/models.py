"""How fast the networks of the zoo are: forward and training step.

    python -m deeplab_tf.benchmark models [--models=resnet101_aspp] [--sizes=321,513] [--batches=1] [--peer=torch]

Prints images/s, GFLOP/s and the fraction of the machine's own matmul rate, measured in the same rounds, with Table 1's
columns. All variants of one size and batch run in turn in every round; seconds are medians, ratios medians of ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import pathlib
import statistics

from benchmarks.measuring import elsewhere, in_turn, matmul, median_ratio, peak_megabytes
from deeplab_tf.errors import UserError
from deeplab_tf.models.zoo import get_preset, list_models

PRECISIONS = {"float32": "float32", "mixed_bfloat16": "bfloat16"}
TWIN = "resnet101_aspp"
PASSES = {"forward": 1, "step": 3}  # a step computes the forward pass and two gradients of its size


@dataclasses.dataclass
class Row:
    """One measurement: `seconds` is the median of a round, rates are per second, memory what a step adds at its peak."""

    model: str
    method: str
    precision: str
    size: int
    batch: int
    run: str
    parameters: int
    field_of_view: int
    seconds: float
    images: float
    gflops: float
    of_matmul: float
    peak_megabytes: float | None = None
    over_torch: float | None = None


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes `--out`.

    Raises:
      UserError: an unknown model, precision or method, or `--out` in a folder that does not exist.
    """
    options = _parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _set_threads(options.threads)
    rows: list[Row] = []
    for size in options.sizes:
        for batch in options.batches:
            for model in options.models:
                for precision in options.precisions:
                    for run in options.runs:
                        found = measure(options, model, precision, size, batch, run)
                        for row in found:
                            print(_line(row), flush=True)
                        rows += found
    for line in _geometric_means(rows):
        print(line)
    if options.table:
        print("\n".join(_table(rows)))
    if options.out:
        _write(options.out, {"threads": options.threads, "rows": [dataclasses.asdict(row) for row in rows]})


def _parse(argv):
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark models", description=__doc__.split("\n")[0])
    words = lambda text: tuple(text.split(","))  # noqa: E731
    numbers = lambda text: tuple(map(int, text.split(",")))  # noqa: E731
    parser.add_argument("--models", type=words, default=(TWIN,), help="networks of the zoo, or all")
    parser.add_argument("--sizes", type=numbers, default=(321, 513), help="sides of the pictures in pixels")
    parser.add_argument("--batches", type=numbers, default=(1,), help="pictures in a batch")
    parser.add_argument("--precisions", type=words, default=tuple(PRECISIONS), help=", ".join(PRECISIONS))
    parser.add_argument("--methods", type=words, default=("space_to_batch", "auto"), help="space_to_batch, native, auto")
    parser.add_argument("--runs", type=words, default=tuple(PASSES), help="forward, step")
    parser.add_argument("--peer", choices=("torch",), help=f"time a plain torch twin of {TWIN} in turn with ours")
    parser.add_argument("--memory", action="store_true", help="also the peak memory of a step, in processes of their own")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of TensorFlow and of torch")
    parser.add_argument("--table", action="store_true", help="end with a Markdown table")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file for the rows")
    options = parser.parse_args(argv)
    options.models = list_models() if options.models == ("all",) else options.models
    for model in options.models:
        get_preset(model)
    _check("--precisions", options.precisions, PRECISIONS)
    _check("--methods", options.methods, ("space_to_batch", "native", "auto"))
    _check("--runs", options.runs, PASSES)
    if options.peer and importlib.util.find_spec("torch") is None:
        raise UserError("--peer=torch: no module torch, expected PyTorch; install it with pip (the extra torch).")
    if options.out and not options.out.resolve().parent.is_dir():
        raise UserError(f"--out: no folder {options.out.resolve().parent}, expected an existing one; make it first.")
    return options


def _check(flag, values, known):
    for value in values:
        if value not in known:
            raise UserError(f"{flag}: got {value!r}, expected one of {', '.join(known)}; choose among these.")


def _set_threads(threads):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)


def measure(options, name, precision, size, batch, run) -> list[Row]:
    """All methods of one network and the peer in turn, beside the matrix product of the same type."""
    product, work = matmul(PRECISIONS[precision])
    runs, models = {"matmul": product}, {}
    for method in options.methods:
        models[method], runs[method] = _our_run(name, method, precision, size, batch, run)
    with contextlib.ExitStack() as stack:
        if options.peer and name == TWIN:
            torch = elsewhere("benchmarks.models:torch_run", precision, size, batch, run, options.threads)
            runs["torch"] = stack.enter_context(torch)
        seconds = in_turn(runs, options.repeats)
    model = next(iter(models.values()))
    gflop = PASSES[run] * batch * forward_gflop(model, size)
    fixed = {
        "model": name,
        "precision": precision,
        "size": size,
        "batch": batch,
        "run": run,
        "parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        "field_of_view": field_of_view(name),
    }
    rows = []
    for method in runs.keys() - {"matmul"}:
        rates = [work / m * s / gflop for m, s in zip(seconds["matmul"], seconds[method], strict=True)]
        median = statistics.median(seconds[method])
        rows.append(
            Row(
                method=method,
                seconds=median,
                images=batch / median,
                gflops=gflop / median,
                of_matmul=1 / statistics.median(rates),
                **fixed,
                over_torch=median_ratio(seconds["torch"], seconds[method]) if "torch" in seconds else None,
                peak_megabytes=_peak(name, method, precision, size, batch, options.threads)
                if options.memory and run == "step"
                else None,
            )
        )
    return sorted(rows, key=lambda row: [*options.methods, "torch"].index(row.method))


def _pictures(size, batch):
    import numpy as np

    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch, size, size, 3)).astype(np.float32)
    return images, random.integers(0, 21, (batch, size, size)).astype(np.int32)


def _our_run(name, method, precision, size, batch, run):
    """(model, function without arguments) of one variant."""
    import tensorflow as tf

    from deeplab_tf.models.deeplab import build_model
    from deeplab_tf.training.solver import CaffeSGD
    from deeplab_tf.training.step import make_step

    model = build_model(name, atrous_method=method, precision=precision)
    images, labels = map(tf.constant, _pictures(size, batch))
    if run == "forward":
        forward = tf.function(lambda x: model(x, training=False))
        return model, lambda: forward(images).numpy()
    step = make_step(model, CaffeSGD(1e-8))
    return model, lambda: step(images, labels)["loss"].numpy()


def torch_run(precision, size, batch, run, threads):
    """What the peer's process runs; TensorFlow stays out of it."""
    from benchmarks.torch_twin import make_runs

    forward, step = make_runs(*_pictures(size, batch), precision, threads)
    return forward if run == "forward" else step


def _peak(name, method, precision, size, batch, threads):
    return peak_megabytes("benchmarks.models:two_steps", name, method, precision, size, batch, threads)


def two_steps(name, method, precision, size, batch, threads):
    """What a process of its own runs for its peak memory: builds the network and makes two steps."""
    if method == "torch":
        import benchmarks.torch_twin  # noqa: F401

        def run():
            step = torch_run(precision, size, batch, "step", threads)
            step(), step()
    else:
        _set_threads(threads)

        def run():
            _, step = _our_run(name, method, precision, size, batch, "step")
            step(), step()

    return run


def forward_gflop(model, size: int) -> float:
    """1e9 multiplications and additions of the convolutions for one picture of `size` x `size`, holes not counted."""
    import keras

    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    shapes = keras.Model(model.input, [layer.output for layer in layers]).compute_output_shape((1, size, size, 3))
    return 2e-9 * sum(math.prod(layer.kernel.shape) * shape[1] * shape[2] for layer, shape in zip(layers, shapes, strict=True))


def field_of_view(name: str) -> int:
    """Table 1's column in pixels, `8((k - 1) r + 4)`, of the largest rate."""
    preset = get_preset(name)
    return 8 * ((preset.kernel_size - 1) * max(preset.rates) + 4)


def _line(row: Row) -> str:
    text = (
        f"{row.model:18} {row.method:14} {row.precision:14} {row.run:7} {row.size:4} x {row.batch}  "
        f"{row.parameters:11,d} parameters  field of view {row.field_of_view:4}  {row.images:7.3f} images/s  "
        f"{row.gflops:7.1f} GFLOP/s  {row.of_matmul:5.2f} of matmul"
    )
    text += "" if row.over_torch is None else f"  {row.over_torch:5.2f} x torch"
    return text + ("" if row.peak_megabytes is None else f"  peak {row.peak_megabytes:,.0f} MB")


def _geometric_means(rows: list[Row]) -> list[str]:
    """Our rate over torch's, over all sizes and batches, for every method, precision and run."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        if row.over_torch is not None and row.method != "torch":
            groups.setdefault((row.method, row.precision, row.run), []).append(row.over_torch)
    return [
        f"{method} {precision} {run}: {statistics.geometric_mean(ratios):.2f} x torch over {len(ratios)} sizes and batches"
        for (method, precision, run), ratios in groups.items()
    ]


def _table(rows: list[Row]) -> list[str]:
    """Markdown, a line a network and method: parameters, field of view, images/s of every measurement."""
    columns = list(dict.fromkeys((row.run, row.precision, row.size, row.batch) for row in rows))
    heads = [f"{run} {precision} {size} x {batch}, img/s" for run, precision, size, batch in columns]
    lines = ["| " + " | ".join(["network", "atrous", "parameters", "field of view", *heads]) + " |"]
    lines.append("|" + "---|" * (4 + len(columns)))
    for model, method in dict.fromkeys((row.model, row.method) for row in rows):
        mine = {(r.run, r.precision, r.size, r.batch): r for r in rows if (r.model, r.method) == (model, method)}
        first = next(iter(mine.values()))
        cells = [f"{mine[column].images:.2f}" if column in mine else "" for column in columns]
        lines.append("| " + " | ".join([model, method, f"{first.parameters:,}", str(first.field_of_view), *cells]) + " |")
    return lines


def _write(path: pathlib.Path, value) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    os.replace(partial, path)
