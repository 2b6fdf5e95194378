"""Clocks and gauges that the benchmarks share: rounds in turn, the machine's matmul rate, peak memory."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

from deeplab_tf.errors import UserError

_DONE = "this round is done\n"


def in_turn(runs: dict[str, Callable[[], object]], repeats: int, clock: Callable = time.perf_counter) -> dict[str, list]:
    """Seconds of every run in every round, after one round to warm up; a round runs each once, so load hits all alike."""
    seconds: dict[str, list] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if turn:
                seconds[name].append(clock() - start)
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


def peak_megabytes(function: str, *arguments, environment: Mapping[str, str] | None = None) -> float:
    """What `function` ("module:name") adds to its process' peak resident memory, in a process of its own.

    The function returns a run, called once between the two readings; importing its framework is not counted. What is in
    `environment` is set there beside ours.
    """
    command = f"from benchmarks.measuring import _child; _child({function!r}, {json.dumps(arguments)!r})"
    own = os.environ | dict(environment or {})
    child = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, env=own)
    if child.returncode:
        raise RuntimeError(f"peak memory of {function}{arguments}: {child.stderr.strip()[-2000:]}")
    return float(child.stdout.split()[-1])


def _child(function: str, arguments: str) -> None:
    run = _made(function, arguments)
    before = resident_megabytes("VmRSS")
    run()
    print(resident_megabytes("VmHWM") - before)


def _made(function: str, arguments: str) -> Callable[[], object]:
    module, name = function.split(":")
    return getattr(importlib.import_module(module), name)(*json.loads(arguments))


@contextlib.contextmanager
def elsewhere(function: str, *arguments, environment: Mapping[str, str] | None = None) -> Iterator[Callable[[], None]]:
    """A run that `function` ("module:name") makes and that runs in a process of its own, which waits between two calls; what is
    in `environment` is set there beside ours.

    Two frameworks in one process may take it down: each brings libraries of its own.

    Raises:
      UserError: the process ended, with its last words.
    """
    command = f"from benchmarks.measuring import _serve; _serve({function!r}, {json.dumps(arguments)!r})"
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                         text=True, env=os.environ | dict(environment or {})) as child,
    ):  # fmt: skip

        def run() -> None:
            with contextlib.suppress(BrokenPipeError):
                print("run", file=child.stdin, flush=True)
            while line := child.stdout.readline():  # what the framework itself prints is passed over
                if line == _DONE:
                    return
            code = child.wait()
            errors.seek(0)
            said = errors.read().strip().splitlines()
            raise UserError(
                f"{function}{arguments}: its process ended with code {code} ({said[-1] if said else 'no word'}), expected it "
                "to run; try it alone."
            )

        yield run
        child.stdin.close()


def _serve(function: str, arguments: str) -> None:
    run = _made(function, arguments)
    for _ in sys.stdin:
        run()
        print(_DONE, end="", flush=True)


def resident_megabytes(field: str) -> float:
    """The field "VmRSS" (now) or "VmHWM" (peak) of this process. Not getrusage's maximum: a child's starts at the
    peak of the process that started it."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
