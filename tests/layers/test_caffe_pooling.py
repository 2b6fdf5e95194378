"""Caffe's max pool against a loop of its definition."""

import numpy as np
import pytest
import tensorflow as tf
from oracles import atrous as oracle

from deeplab_tf.layers import CaffeMaxPool2D


def _random(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32) - 5  # zeros of a padding would win


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("height", [1, 2, 3, 6, 7, 12])
def test_equals_ceil_mode_at_odd_and_even_sizes(strides, height):
    pool = CaffeMaxPool2D(strides)
    for width in (1, 2, 3, 8, 11):
        x = _random(2, height, width, 3)
        y = pool(x)
        np.testing.assert_array_equal(y, oracle.max_pool(x, strides))
        assert pool.compute_output_shape(x.shape) == tuple(y.shape)


@pytest.mark.parametrize(("n", "expected"), [(321, 161), (161, 81), (81, 41), (320, 161), (322, 162), (1, 1), (2, 2)])
def test_golden_sizes(n, expected):
    """`ceil((n + 2 - 3) / 2) + 1`: 321 -> 161 -> 81 -> 41 in the published nets; even sizes keep their last window."""
    assert CaffeMaxPool2D(2).compute_output_shape((None, n, None, 5)) == (None, expected, None, 5)


@pytest.mark.parametrize("rate", [2, 3, 8])
@pytest.mark.parametrize(("height", "width"), [(9, 12), (1, 2), (20, 7)])
def test_dilated_windows(rate, height, width):
    x = _random(1, height, width, 2)
    np.testing.assert_array_equal(CaffeMaxPool2D(1, rate)(x), oracle.max_pool(x, 1, rate))


@pytest.mark.parametrize("strides", [1, 2])
def test_compiles_with_xla_gradient_included(strides):
    x, pool = tf.constant(_random(1, 8, 9, 2)), CaffeMaxPool2D(strides)

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x)
        return y, tape.gradient(y, x)

    for compiled, plain in zip(tf.function(run, jit_compile=True)(x), run(x), strict=True):
        np.testing.assert_array_equal(compiled, plain)


def test_shifts_with_its_input():
    x = _random(1, 16, 16, 2)
    shifted = CaffeMaxPool2D(2)(np.roll(x, 4, axis=1)).numpy()
    np.testing.assert_array_equal(shifted[:, 4:7], CaffeMaxPool2D(2)(x).numpy()[:, 2:5])


@pytest.mark.parametrize(("strides", "rate"), [(3, 1), (2, 2)])
def test_wrong_arguments_are_named(strides, rate):
    with pytest.raises(ValueError, match=f"got stride {strides}, rate {rate}"):
        CaffeMaxPool2D(strides, rate)
