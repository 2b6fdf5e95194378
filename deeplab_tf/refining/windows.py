"""A picture larger than memory as windows: each is written where it is read with a halo round it."""

import math
from collections.abc import Iterator
from typing import NamedTuple


class Window(NamedTuple):
    """What is read, what of it is written, both as (rows, columns) of the picture; the latter lie within the former."""

    read: tuple[slice, slice]
    write: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """Where in the array that was read the written part lies."""
        return tuple(
            slice(part.start - whole.start, part.stop - whole.start) for whole, part in zip(self.read, self.write, strict=True)
        )


def windows(height: int, width: int, side: int, halo: int) -> Iterator[Window]:
    """Row by row; what they write covers the picture once, and no window reads more than side x side pixels.

    A picture of which no side is above `side` is one window. `side` must be above 2 * `halo`.
    """
    columns = list(_spans(width, side, halo))
    for read_rows, write_rows in _spans(height, side, halo):
        for read_columns, write_columns in columns:
            yield Window((read_rows, read_columns), (write_rows, write_columns))


def _spans(length: int, side: int, halo: int) -> Iterator[tuple[slice, slice]]:
    count = 1 if length <= side else math.ceil(length / (side - 2 * halo))
    edges = [length * index // count for index in range(count + 1)]
    for start, stop in zip(edges, edges[1:], strict=False):
        yield slice(max(0, start - halo), min(length, stop + halo)), slice(start, stop)
