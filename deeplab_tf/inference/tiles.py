"""Overlapping tiles for pictures that are larger than the memory or the training crops (section 4.4, Cityscapes)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Tiles:
    """How a picture is cut.

    Attributes:
      size: (height, width) of a tile in pixels; a picture that is not larger is not cut.
      overlap: (rows, columns) that neighbouring tiles share at least.
    """

    size: tuple[int, int]
    overlap: tuple[int, int]

    def __post_init__(self):
        for side, shared in zip(self.size, self.overlap, strict=True):
            if side < 1 or not 0 <= shared < side:
                raise ValueError(
                    f"tiles of {self.size} pixels with an overlap of {self.overlap}, expected positive sides and an "
                    "overlap of at least 0 that is smaller than the tile"
                )

    @classmethod
    def of(cls, tile: int | tuple[int, int] | Tiles, overlap: int | tuple[int, int] | None = None) -> Tiles:
        """Tiles from a side or (height, width); the overlap is a quarter of a side unless it is given."""
        if isinstance(tile, Tiles):
            return tile
        size = _pair("tile", tile)
        return cls(size, (size[0] // 4, size[1] // 4) if overlap is None else _pair("overlap", overlap))

    def cut(self, height: int, width: int, multiple: int) -> Iterator[tuple[slice, slice]]:
        """(rows, columns) of every tile, which together cover the picture.

        Tiles begin at multiples of `multiple` and have `multiple`*n+1 pixels a side (`size` rounded down), so that
        they are not padded and their score maps sample the same pixels as the whole picture's would. The last tile
        of a row may be up to `multiple`-1 pixels shorter.
        """
        if min(self.size) <= multiple:
            raise ValueError(f"tiles of {self.size} pixels, expected sides above {multiple}, the padding's multiple")
        columns = list(_spans(width, self.size[1], self.overlap[1], multiple))
        for rows in _spans(height, self.size[0], self.overlap[0], multiple):
            yield from ((rows, column) for column in columns)

    def weights(self, height: int, width: int) -> np.ndarray:
        """float32 [height, width] weight of a tile's pixels: falls over the overlap towards the tile's borders.

        A network sees least of the surroundings at a tile's border, so a pixel is decided by the tile that it lies
        deeper in, and there is no seam. It falls with the fourth power: where tiles overlap by the network's field of view,
        a pixel's neighbourhood is wrong in the weaker one alone. (Labels equal to the whole picture's, Cityscapes,
        vgg16_largefov, tiles of 769: 99.998 % at an overlap of 419, the field of view, 99.98 at 210, 99.85 at 105, 99.3 at 52;
        falling linearly 99.76, 99.7, 99.5, 99.0.)
        """
        rows, columns = _ramp(height, self.overlap[0]), _ramp(width, self.overlap[1])
        return rows[:, None] * columns[None, :]


def average_tiles(predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, tiles: Tiles, multiple: int) -> np.ndarray:
    """Weighted mean (`Tiles.weights`) of `predict`'s float32 [h, w, K] over the tiles of an image [height, width, 3].

    Memory: the result, and what `average_bands` takes.
    """
    bands = average_bands(predict, image, tiles, multiple)
    rows, values = next(bands)
    result = np.empty((*image.shape[:2], values.shape[-1]), np.float32)
    result[rows] = values
    for rows, values in bands:
        result[rows] = values
    return result


def average_bands(
    predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, tiles: Tiles, multiple: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """`average_tiles` from top to bottom: (rows, float32 [rows, width, K]) as soon as no tile below reaches into them.

    Memory: one row of tiles with a plane of weights, and one tile at a time.
    """
    height, width = image.shape[:2]
    grouped = [
        (rows, [part[1] for part in parts])
        for rows, parts in itertools.groupby(tiles.cut(height, width, multiple), key=lambda part: part[0])
    ]
    starts = [rows.start for rows, _ in grouped[1:]] + [height]
    total, weight, done = np.zeros((0, width, 0), np.float32), np.zeros((0, width), np.float32), 0
    for (rows, columns), following in zip(grouped, starts, strict=True):
        new = rows.stop - done - len(weight)
        weight = np.concatenate([weight, np.zeros((new, width), np.float32)])
        for column in columns:
            values = predict(image[rows, column])
            if not total.shape[2]:
                total = np.zeros((0, width, values.shape[-1]), np.float32)
            if len(total) < len(weight):
                total = np.concatenate([total, np.zeros((new, *total.shape[1:]), np.float32)])
            share = tiles.weights(*values.shape[:2])
            total[rows.start - done : rows.stop - done, column] += values * share[..., None]
            weight[rows.start - done : rows.stop - done, column] += share
        finished = following - done
        yield slice(done, following), total[:finished] / weight[:finished, :, None]
        total, weight, done = total[finished:], weight[finished:], following


def _pair(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) for side in pair):
        raise ValueError(f"{name} is {value!r}, expected a number of pixels or (height, width)")
    return int(pair[0]), int(pair[1])


def _spans(length: int, side: int, overlap: int, multiple: int) -> Iterator[slice]:
    side = (side - 1) // multiple * multiple + 1
    last = max(0, -(-(length - side) // multiple) * multiple)
    step = max(multiple, (side - overlap) // multiple * multiple)
    for start in [*range(0, last, step), last]:
        yield slice(start, min(start + side, length))


def _ramp(length: int, overlap: int) -> np.ndarray:
    inward = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    return ((np.minimum(inward, overlap + 1) / (overlap + 1)) ** 4).astype(np.float32)
