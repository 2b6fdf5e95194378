"""Masks to polygons, as annotation tools edit them: corners are pixels, whole numbers on pixel edges."""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = 1.0  # pixels; the steps of a slanted edge deviate by less


def polygons_of(mask: np.ndarray, tolerance: float = TOLERANCE) -> list[np.ndarray]:
    """One polygon for every connected part of a mask, [n, 2] x, y; pixels that touch at a corner are connected.

    A hole is part of its polygon: a cut without width leads into it and back, so that the inside by parity is the mask.

    Args:
      mask: bool [height, width].
      tolerance: corners are dropped as long as the outline stays this near, in pixels; 0: the outline is exact.
    """
    # Of pixels twice as large, the middles of the outermost small ones tell on which side of them the edge runs.
    large = np.repeat(np.repeat(mask.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, links = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [_simplified((contour[:, 0] + 1) // 2, tolerance) for contour in contours]
    polygons = {index: rings[index] for index in range(len(rings)) if links[0, index, 3] < 0}
    for index, ring in enumerate(rings):
        parent = links[0, index, 3]
        if parent >= 0:
            polygons[parent] = _cut(polygons[parent], ring)
    return [polygon[(polygon != np.roll(polygon, 1, axis=0)).any(axis=1)] for polygon in polygons.values()]


def area(polygon: np.ndarray) -> float:
    """Inside a polygon [n, 2], less its holes, in pixels."""
    x, y = polygon.astype(np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    if not tolerance:
        return ring
    fewer = cv2.approxPolyDP(ring.astype(np.int32)[:, None], tolerance, closed=True)[:, 0]
    return fewer if len(fewer) >= 3 else ring  # what is as small as the tolerance stays as it is


def _cut(outer: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The outline with the hole in it, joined where the two are nearest."""
    distances = np.square(outer[:, None] - hole).sum(axis=-1)
    at, to = np.unravel_index(distances.argmin(), distances.shape)
    return np.concatenate([outer[: at + 1], hole[to:], hole[: to + 1], outer[at:]])
