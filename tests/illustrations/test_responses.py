"""Figs. 2 and 3 against their definitions, written out: the whole picture with holes, and half of it without."""

import numpy as np
import pytest
from oracles import atrous as oracle

from deeplab_tf.illustrations.responses import dense_responses, figure_2, figure_3, sparse_responses, vertical_derivative


def with_holes(kernel, rate):
    """The kernel written out, zeros between its taps."""
    spread = np.zeros(tuple((size - 1) * rate + 1 for size in kernel.shape))
    spread[(slice(None, None, rate),) * kernel.ndim] = kernel
    return spread


def convolved(x, kernel):
    """The ordinary convolution of the full resolution, pixel by pixel; zeros outside."""
    padded = np.pad(x, [(size // 2, size // 2) for size in kernel.shape])
    y = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        y[place] = (padded[tuple(slice(k, k + size) for k, size in zip(place, kernel.shape, strict=True))] * kernel).sum()
    return y


@pytest.mark.parametrize("shape, taps", [((23,), 3), ((16,), 5), ((21, 18), 7), ((13, 24), 3)])
def test_dense_is_the_kernel_with_holes_and_sparse_agrees_where_it_is(shape, taps):
    random = np.random.default_rng(len(shape) + taps)
    x, kernel = random.standard_normal(shape), random.standard_normal((taps,) * len(shape))
    sparse, dense = sparse_responses(x, kernel), dense_responses(x, kernel)
    np.testing.assert_allclose(dense, convolved(x, with_holes(kernel, 2)), atol=1e-4)
    every = (slice(None, None, 2),) * x.ndim
    np.testing.assert_allclose(sparse[every], convolved(x[every], kernel), atol=1e-4)
    there = ~np.isnan(sparse)
    assert there[every].all() and there.sum() == dense[every].size  # a quarter of a picture, half of a signal
    np.testing.assert_allclose(sparse[there], dense[there], atol=1e-4)
    if x.ndim == 2:
        slow = oracle.atrous_conv(x[None, ..., None], kernel[..., None, None], 2)[0, ..., 0]
        np.testing.assert_allclose(dense, slow, atol=1e-4)


def test_a_moved_picture_moves_the_dense_responses_but_not_the_places_of_the_sparse_ones():
    x = np.zeros((30, 30))
    x[12:17, 13:15] = np.random.default_rng(0).standard_normal((5, 2))
    kernel, moved = vertical_derivative(), np.roll(x, 1, axis=0)
    np.testing.assert_allclose(dense_responses(moved, kernel), np.roll(dense_responses(x, kernel), 1, axis=0), atol=1e-6)
    one, other = sparse_responses(x, kernel), sparse_responses(moved, kernel)
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    assert abs(np.nan_to_num(other) - np.roll(np.nan_to_num(one), 1, axis=0)).max() > 0.01


def test_the_derivative_is_vertical_and_positive_where_it_is_brighter_below():
    kernel = vertical_derivative()
    assert kernel.shape == (7, 7) and np.abs(kernel).sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, -kernel[::-1])
    np.testing.assert_allclose(kernel, kernel[:, ::-1])
    edge = np.repeat(np.arange(40) >= 20, 40).reshape(40, 40).astype(float)
    inside = (slice(8, -8),) * 2
    assert dense_responses(edge, kernel)[inside].min() > -1e-6 and dense_responses(edge, kernel)[20, 20] > 0.3
    assert abs(dense_responses(edge.T, kernel)[inside]).max() < 1e-6


def test_the_figures_hold_for_any_picture(picture):
    assert figure_2(41).picture.shape[1] == figure_3(picture(60, 97), "noise").picture.shape[1] == 1000
    assert figure_3(picture(97, 60), "noise").picture.dtype == np.uint8
