"""Which engine filters: the compiled one where it was built, its NumPy twin elsewhere, and the checks they share."""

import os

import numpy as np

DEFAULT_PRUNE = 1e-3  # derived in `dense_crf.DenseCRF`
MEMORY_LIMIT = 8.0  # GiB that one call of the native engine may need; 2048x1024 with 19 classes need about 1


def engine():
    """The compiled module.

    Raises:
        ImportError: it was not built with this installation, or does not load.
    """
    from deeplab_tf.crf import _engine

    return _engine


def engine_missing() -> str | None:
    """One sentence why NumPy serves instead of the compiled engine, and what that costs; None where the engine is there."""
    try:
        engine()
    except ImportError as error:
        return (
            f"The dense CRF runs in NumPy, 10 to 30 times slower, as the compiled engine is missing ({error}); reinstall "
            "deeplab_tf with a C++17 compiler and pybind11 at hand."
        )
    return None


def has_native() -> bool:
    """Whether the compiled engine was built with this installation."""
    return engine_missing() is None


def choose_backend(backend: str, choices: tuple[str, ...]) -> str:
    """`backend`, with "auto" decided.

    Raises:
        ValueError: it is none of `choices`, or it is "native" and the engine is missing.
    """
    if backend not in choices:
        raise ValueError(f"backend: got {backend!r}, expected one of {', '.join(choices)}.")
    if backend == "auto":
        return "native" if has_native() else "numpy"
    if backend == "native" and not has_native():
        raise ValueError(
            "backend: got 'native', but the engine was not compiled; reinstall with a C++17 compiler "
            "at hand or use backend='numpy'."
        )
    return backend


def checked_threads(threads: int | None) -> int:
    """The number of threads; None takes all processors this process may use.

    Raises:
        ValueError: no whole number in 1..1024.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (isinstance(threads, (int, np.integer)) and 1 <= threads <= 1024):
        raise ValueError(f"threads: got {threads!r}, expected a whole number in 1..1024 or None.")
    return int(threads)


def checked_prune(prune: float) -> float:
    """What share of a pixel's probability leaving labels out may put wrongly in one iteration.

    Raises:
        ValueError: no number in 0..1.
    """
    if isinstance(prune, (bool, str)) or not hasattr(prune, "__float__") or not 0 <= float(prune) <= 1:
        raise ValueError(f"prune: got {prune!r}, expected a number in 0..1; 0 filters all labels.")
    return float(prune)


def checked_memory_limit(limit: float) -> float:
    """Bytes of a limit in GiB.

    Raises:
        ValueError: no number above 0.
    """
    if isinstance(limit, (bool, str)) or not hasattr(limit, "__float__") or not float(limit) > 0:
        raise ValueError(f"memory_limit: got {limit!r}, expected GiB, a number > 0.")
    return float(limit) * 2**30
