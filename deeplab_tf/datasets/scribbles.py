"""Scribbles made from masks: the weak labels of an annotator who draws a stroke in every region, by a seeded generator."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from deeplab_tf.datasets.label_tables import VOID

_BEND = 0.25  # radians a pixel: how sharply a stroke turns by itself


def scribbles(label: np.ndarray, fraction: float = 0.03, seed: int | Sequence[int] = 0, ignore_label: int = VOID) -> np.ndarray:
    """A mask of strokes: every connected region of a class gets one, and every other pixel becomes void.

    Args:
      label: uint8 [height, width], class ids and `ignore_label`.
      fraction: of each region's pixels that its stroke covers, in (0, 1]; at least one pixel. ScribbleSup's strokes on
        VOC 2012 cover about 0.03 (Tang et al. 2018).
      seed: of the strokes, one number or several; the same seed gives the same ones.
      ignore_label: value of void, in `label` and in the result.

    Returns:
      uint8 [height, width]: at the strokes what `label` has, elsewhere `ignore_label`.

    Raises:
      ValueError: a fraction out of its range, or a label that is not two-dimensional.
    """
    if not 0 < fraction <= 1 or np.ndim(label) != 2:
        raise ValueError(
            f"scribbles: got fraction {fraction} and a label of {list(np.shape(label))}, expected a fraction in "
            "(0, 1] and [height, width]."
        )
    random = np.random.default_rng(seed)
    drawn = np.full_like(label, ignore_label)
    for number in np.setdiff1d(label, [ignore_label]):
        count, regions = cv2.connectedComponents((label == number).astype(np.uint8))
        for region in range(1, count):
            drawn[_stroke(random, regions == region, fraction)] = number
    return drawn


def _stroke(random, region: np.ndarray, fraction: float) -> np.ndarray:
    """bool [height, width], `fraction` of the region: a winding line that begins anew where it can go no further."""
    stroke, wanted = np.zeros_like(region), max(1, round(fraction * region.sum()))
    inner = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner, left = inner >= min(3, inner.max()), wanted  # away from the outline, where there is such a place
    while left > 0:
        starts = np.argwhere(inner & ~stroke)
        starts = starts if len(starts) else np.argwhere(region & ~stroke)
        place, angle = starts[random.integers(len(starts))].astype(float), random.uniform(0, 2 * np.pi)
        for _ in range(wanted):
            y, x = np.rint(place).astype(int)
            left -= _draw(stroke, region, y, x, left)
            angle += random.normal(0, _BEND)
            ahead = place + (np.sin(angle), np.cos(angle))
            if left <= 0 or not _holds(region, ahead):
                break
            place = ahead
    return stroke


def _draw(stroke: np.ndarray, region: np.ndarray, y: int, x: int, most: int) -> int:
    """Marks the pen's new pixels of 3 x 3 round (y, x) inside the region, `most` at the most; how many they were."""
    part = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    new = np.argwhere(region[part] & ~stroke[part])[:most]
    stroke[part][tuple(new.T)] = True
    return len(new)


def _holds(region: np.ndarray, place: np.ndarray) -> bool:
    y, x = np.rint(place).astype(int)
    return 0 <= y < region.shape[0] and 0 <= x < region.shape[1] and bool(region[y, x])
