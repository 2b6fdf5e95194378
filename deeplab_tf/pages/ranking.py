"""The best of a set, found while it goes by; the best of its parts' best are the best of the whole."""

from __future__ import annotations

import heapq


class Top:
    """The entries of the highest rank, of equals the earliest ones, in whatever order they come.

    Args:
      size: how many are kept.
    """

    def __init__(self, size: int):
        self._size, self._heap = size, []  # (rank, negative place, entry): the lowest is the first to go

    def admits(self, rank: float, *place: int) -> bool:
        """Whether an entry would be kept; `place` is its own, that of the picture first."""
        return self._size > 0 and (len(self._heap) < self._size or _key(rank, place) > self._heap[0][:2])

    def add(self, rank: float, *place: int, entry) -> None:
        if self.admits(rank, *place):
            heapq.heappush(self._heap, (*_key(rank, place), entry))
        if len(self._heap) > self._size:
            heapq.heappop(self._heap)

    def entries(self) -> list:
        """What is kept, the highest rank first."""
        return [entry for *_, entry in self._sorted()]

    def rows(self) -> list[tuple]:
        """(rank, place, entry) of what is kept, for another's `add`."""
        return [(rank, tuple(-part for part in place), entry) for rank, place, entry in self._sorted()]

    def _sorted(self) -> list[tuple]:
        return sorted(self._heap, key=lambda row: row[:2], reverse=True)


def _key(rank: float, place: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    return float(rank), tuple(-part for part in place)
