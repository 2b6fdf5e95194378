"""Clocks and gauges that the benchmarks share: rounds in turn, the machine's matmul rate, peak memory."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def in_turn(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every run in every round, after one round to warm up; a round runs each once, so load hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """Median over the rounds of how much longer `slow` took than `fast`."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def matmul(dtype: str, size: int = 2048) -> tuple[Callable[[], object], float]:
    """A square matrix product of TensorFlow and its GFLOP: what this machine can do."""
    import tensorflow as tf

    a = tf.cast(tf.random.stateless_normal([size, size], [0, 1]), dtype)
    product = tf.function(lambda: tf.matmul(a, a)).get_concrete_function()
    return lambda: product().shape, 2e-9 * size**3


def peak_megabytes(function: str, *arguments) -> float:
    """What `function` ("module:name") adds to its process' peak resident memory, in a process of its own.

    The function returns a run, called once between the two readings; importing its framework is not counted.
    """
    command = f"from benchmarks.measuring import _child; _child({function!r}, {json.dumps(arguments)!r})"
    child = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"peak memory of {function}{arguments}: {child.stderr.strip()[-2000:]}")
    return float(child.stdout.split()[-1])


def _child(function: str, arguments: str) -> None:
    import importlib

    module, name = function.split(":")
    run = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    before = _resident("VmRSS")
    run()
    print(_resident("VmHWM") - before)


def _resident(field: str) -> float:
    """Megabytes. Not getrusage's maximum: a child's starts at the peak of the process that started it."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
