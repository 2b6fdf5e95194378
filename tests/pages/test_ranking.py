import numpy as np
import pytest

from deeplab_tf.pages.ranking import Top


@pytest.mark.parametrize("size", [0, 1, 5, 40])
def test_the_best_of_the_parts_best_are_the_best_in_any_order(size):
    rng = np.random.default_rng(size)
    all = [
        (float(rank), (int(picture), int(part)), f"{picture}.{part}")
        for rank, picture, part in zip(rng.integers(0, 6, 30), rng.permutation(30), rng.integers(0, 3, 30), strict=True)
    ]
    expected = sorted(all, key=lambda row: (-row[0], row[1]))[:size]  # many ranks are equal: the earlier first
    for order in (range(30), rng.permutation(30)):
        whole, parts = Top(size), [Top(size) for _ in range(4)]
        for k in order:
            rank, place, entry = all[k]
            whole.add(rank, *place, entry=entry)
            parts[k % 4].add(rank, *place, entry=entry)
        merged = Top(size)
        for part in parts:
            for rank, place, entry in part.rows():
                merged.add(rank, *place, entry=entry)
        assert whole.rows() == merged.rows() == expected and merged.entries() == [row[2] for row in expected]
        for rank, place, _ in all:
            assert whole.admits(rank, *place) == (
                size > 0 and (rank, place) in [row[:2] for row in expected[:-1]] or size > len(all)
            )
