"""Whether an exported network answers as `segment` does: one check for all formats."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable

import numpy as np


class Allowed(typing.NamedTuple):
    """How far an artefact may be off.

    Attributes:
      probabilities: largest difference anywhere, 0..1.
      margin: a label is lost where another class is more probable than its own by more than this.
      labels: share of the pixels whose label may be lost.
    """

    probabilities: float
    margin: float
    labels: float


ALLOWED = {
    "float32": Allowed(1e-3, 1e-3, 1e-4),
    "bfloat16": Allowed(1.0, 2e-2, 5e-3),
    "float16": Allowed(1.0, 2e-2, 5e-3),
    "dynamic": Allowed(1.0, 5e-2, 5e-2),
    "int8": Allowed(1.0, 5e-2, 1e-1),
}
"""By precision. A graph that a converter misread is off by far more; what int8 costs, its mean IoU tells."""

SAME_GRAPH = {"float32": Allowed(1e-4, 1e-3, 1e-4), "bfloat16": Allowed(2e-2, 1e-3, 2e-2)}
"""For a SavedModel, which holds the very graph that `segment` runs."""

_SIZES = ((37, 52), (64, 41), (97, 97), (33, 130), (129, 34))  # odd and even, on and off the padded grid, tall and wide


def noise(tile: tuple[int, int] | None = None) -> list[np.ndarray]:
    """uint8 pictures of five sizes, which no converter was tuned on; and one that is larger than a tile."""
    sizes = _SIZES if tile is None else (*_SIZES, (tile[0] + 9, tile[1] + 20))
    return [np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8) for i, size in enumerate(sizes)]


def compare(
    artefact: Callable[[np.ndarray], np.ndarray],
    reference: Callable[[np.ndarray], np.ndarray],
    allowed: Allowed,
    pictures: Iterable[np.ndarray],
) -> dict[str, float]:
    """Runs both on the same pictures.

    Args:
      artefact, reference: uint8 [height, width, 3] -> float32 [height, width, K].
      allowed: see `ALLOWED`.
      pictures: what they are compared on.

    Returns:
      The largest differences found: "probabilities" (absolute), "labels" (share of a picture's pixels).

    Raises:
      RuntimeError: they differ by more than is allowed.
    """
    worst = {"probabilities": 0.0, "labels": 0.0}
    for image in pictures:
        try:
            got = artefact(image)
        except Exception as error:  # every program has exceptions of its own
            reason = " ".join(str(error).split())[:200]
            raise RuntimeError(f"The exported model cannot run {list(image.shape)} ({reason}); it was not kept.") from error
        expected = reference(image)
        if got.shape != expected.shape or not np.isfinite(got).all():
            raise RuntimeError(
                f"The exported model answers {got.shape} to a picture of {image.shape[:2]}, expected finite "
                f"{expected.shape}; it was not kept."
            )
        found = {
            "probabilities": float(np.abs(got - expected).max()),
            "labels": float(np.mean(lost(got.argmax(axis=-1), expected, allowed.margin))),
        }
        worst = {name: max(value, found[name]) for name, value in worst.items()}
    refuse(worst, {"probabilities": allowed.probabilities, "labels": allowed.labels})
    return worst


def refuse(found: dict[str, float], allowed: dict[str, float]) -> None:
    """Raises the RuntimeError where something that was found is above what is allowed."""
    if not all(found[name] <= limit for name, limit in allowed.items()):
        told = ", ".join(f"{name} {found[name]:.2g} (allowed: {limit:.2g})" for name, limit in allowed.items())
        raise RuntimeError(f"The exported model differs from segment by {told}; it was not kept.")


def lost(ids: np.ndarray, probabilities: np.ndarray, margin: float = 1e-3) -> np.ndarray:
    """Where a label [height, width] is less probable than the most probable class by more than rounding; bool."""
    chosen = np.take_along_axis(probabilities, ids[..., None].astype(np.int64), axis=-1)[..., 0]
    return probabilities.max(axis=-1) - chosen > margin
