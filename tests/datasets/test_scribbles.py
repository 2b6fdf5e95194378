"""Scribbles: true to the mask, in every region, of the length asked for, the same for the same seed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_tf.datasets.miniature import render
from deeplab_tf.datasets.scribbles import scribbles


@pytest.mark.parametrize("fraction", [0.01, 0.03, 0.2])
def test_every_region_of_a_scene_gets_its_share(fraction):
    label = render(3)[1]
    drawn = scribbles(label, fraction, seed=1)
    assert drawn.dtype == np.uint8 and drawn.shape == label.shape
    np.testing.assert_array_equal(drawn[drawn != 255], label[drawn != 255])
    for number in set(np.unique(label)) - {255}:
        count, regions = cv2.connectedComponents((label == number).astype(np.uint8))
        for region in range(1, count):
            size, marked = (regions == region).sum(), (drawn[regions == region] != 255).sum()
            assert marked == max(1, round(fraction * size))


@settings(max_examples=30, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.floats(0.01, 1))
def test_any_mask_however_ragged(seed, height, width, fraction):
    label = np.random.default_rng(seed).choice(np.array([0, 1, 255], np.uint8), (height, width))
    drawn = scribbles(label, fraction, seed)
    np.testing.assert_array_equal(drawn[drawn != 255], label[drawn != 255])
    assert set(np.unique(label)) - {255} == set(np.unique(drawn)) - {255}


def test_all_of_it_is_the_mask_and_seeds_tell_strokes_apart():
    label = render(4)[1][:60, :60]
    np.testing.assert_array_equal(scribbles(label, 1.0), label)
    one, same, other = (scribbles(label, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_strokes_keep_away_from_outlines_where_they_can():
    label = np.zeros((60, 60), np.uint8)
    label[10:50, 10:50] = 1
    starts = [scribbles(label, 1 / 1600, seed) == 1 for seed in range(20)]  # one pixel: where the stroke begins
    assert all(one[11:49, 11:49].sum() == 1 for one in starts)


def test_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="fraction 0"):
        scribbles(np.zeros((3, 3), np.uint8), 0)
    with pytest.raises(ValueError, match="height, width"):
        scribbles(np.zeros((3, 3, 1), np.uint8))
