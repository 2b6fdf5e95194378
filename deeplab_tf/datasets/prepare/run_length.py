"""COCO segmentations to masks, pixel for pixel as the COCO tools paint them (maskApi.c)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SCALE = 5  # outlines are walked on a grid five times as fine


def decode_segmentation(segmentation, height: int, width: int) -> np.ndarray:
    """bool [height, width] of a COCO `segmentation`: a list of polygons, or run lengths (a list or a packed string)."""
    if isinstance(segmentation, dict):
        counts, size = segmentation["counts"], segmentation.get("size", [height, width])
        if list(size) != [height, width]:
            raise ValueError(f"run lengths: they are of {size} pixels, expected [{height}, {width}]")
        return from_counts(unpack(counts) if isinstance(counts, str | bytes) else counts, height, width)
    mask = np.zeros((height, width), bool)
    for polygon in segmentation:
        mask |= from_polygon(polygon, height, width)
    return mask


def from_counts(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """Run lengths, column by column, beginning with a run of zeros."""
    counts = np.asarray(counts, np.int64)
    if counts.min(initial=0) < 0 or counts.sum() != height * width:
        raise ValueError(f"run lengths: got {counts.sum()} pixels, expected {height} x {width}, and no run below 0")
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def to_counts(mask: np.ndarray) -> list[int]:
    """Run lengths of a bool mask [height, width]: column by column, beginning with a run of zeros."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return [0] * bool(flat[0]) + lengths.tolist()


def unpack(text: str | bytes) -> list[int]:
    """Run lengths of the packed form: 6-bit characters of 5 value bits, from the third on as differences."""
    data = text.encode("ascii") if isinstance(text, str) else text
    counts, place = [], 0
    while place < len(data):
        value, shift, more = 0, 0, True
        while more:
            if place == len(data):
                raise ValueError("run lengths: the packed text ends in the middle of a number")
            bits = data[place] - 48
            value |= (bits & 31) << shift
            more, place, shift = bool(bits & 32), place + 1, shift + 5
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def from_polygon(polygon: Sequence[float], height: int, width: int) -> np.ndarray:
    """The inside of x0, y0, x1, y1, … (pixels), by parity of the outline's crossings down the columns."""
    u, v = _outline((_SCALE * np.asarray(polygon, np.float64).reshape(-1, 2) + 0.5).astype(np.int64))
    moved = np.flatnonzero(u[1:] != u[:-1]) + 1
    left = np.minimum(u[moved], u[moved - 1])
    # A crossing counts where the fine column is the middle of a pixel column: (left + .5) / 5 - .5 a whole number.
    column, rest = np.divmod(left - (_SCALE - 1) // 2, _SCALE)
    inside = (rest == 0) & (column >= 0) & (column <= width - 1)
    row = np.minimum(v[moved], v[moved - 1])[inside]
    row = np.ceil(np.clip((row + 0.5) / _SCALE - 0.5, 0, height)).astype(np.int64)
    return _fill(column[inside] * height + row, height, width)


def _fill(crossings: np.ndarray, height: int, width: int) -> np.ndarray:
    """True from an odd crossing to the next, in places counted column by column."""
    mask = np.zeros(height * width, bool)
    if len(crossings):
        first, last = crossings.min(), crossings.max()
        mask[first:last] = np.cumsum(np.bincount(crossings - first)[:-1]) % 2 == 1
        mask[last:] = len(crossings) % 2 == 1
    return mask.reshape(width, height).T


def _outline(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x, y of the points along the closed outline: one a step of an edge's longer direction, both its ends included."""
    starts, ends = corners, np.roll(corners, -1, axis=0)
    steep = np.abs(ends - starts)[:, 0] < np.abs(ends - starts)[:, 1]
    starts, ends = (np.where(steep[:, None], points[:, ::-1], points) for points in (starts, ends))  # longer side first
    backwards = starts[:, 0] > ends[:, 0]
    low, high = np.where(backwards[:, None], ends, starts), np.where(backwards[:, None], starts, ends)
    length = high[:, 0] - low[:, 0]
    slope = (high[:, 1] - low[:, 1]) / np.maximum(length, 1)
    edge = np.repeat(np.arange(len(length)), length + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - (length + 1), length + 1)
    step = np.where(backwards[edge], length[edge] - step, step)
    along = low[edge, 0] + step
    across = (low[edge, 1] + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(steep[edge], across, along), np.where(steep[edge], along, across)
