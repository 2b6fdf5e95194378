"""Align-corners resize against Caffe's Interp as a loop, and its golden sizes and values."""

import numpy as np
import pytest
import tensorflow as tf
from oracles import atrous as oracle

from deeplab_tf.layers import resize_align_corners


def _random(*shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("height", [1, 2, 5, 9])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (4, 3), (9, 17), (33, 2)])
def test_equals_the_definition(height, size):
    x = _random(2, height, 6, 3)
    np.testing.assert_allclose(resize_align_corners(x, size), oracle.resize_align_corners(x, size), atol=1e-5)


def test_corners_stay_corners():
    x = _random(1, 13, 8, 2)
    y = resize_align_corners(x, (321, 57)).numpy()
    np.testing.assert_allclose(y[:, ::320, ::56], x[:, ::12, ::7], atol=1e-5)


@pytest.mark.parametrize(("n", "small"), [(321, 41), (513, 65), (321, 161), (321, 21)])
def test_shrinking_by_a_whole_step_is_sub_sampling(n, small):
    """321 -> 41 reads every eighth pixel exactly, as labels[::8, ::8] does."""
    x = _random(1, n, n, 1)
    step = (n - 1) // (small - 1)
    np.testing.assert_allclose(resize_align_corners(x, (small, small)), x[:, ::step, ::step], atol=1e-4)


def test_golden_ramp():
    """A ramp over 41 pixels stays one over 321: pixel i holds i / 8. At half-pixel centres it would not."""
    ramp = np.tile(np.arange(41, dtype=np.float32)[None, None, :, None], (1, 41, 1, 1))
    y = resize_align_corners(ramp, (321, 321)).numpy()[0, 160, :, 0]
    np.testing.assert_allclose(y, np.arange(321) / 8, atol=1e-4)


def test_gradient_is_the_transpose():
    x, upstream = _random(1, 5, 4, 2), _random(1, 9, 11, 2)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = resize_align_corners(tensor, (9, 11))
    gradient = tape.gradient(y, tensor, output_gradients=upstream)
    np.testing.assert_allclose(np.vdot(gradient, x), np.vdot(upstream, y), rtol=1e-4)


def test_takes_tensors_as_size_and_keeps_the_type():
    resize = tf.function(lambda x, size: resize_align_corners(x, tf.unstack(size)))
    y = resize(tf.cast(_random(1, 5, 5, 1), tf.bfloat16), tf.constant([9, 3]))
    assert y.shape == (1, 9, 3, 1) and y.dtype == tf.bfloat16


def test_wrong_rank_is_named():
    with pytest.raises(ValueError, match=r"got shape \(5, 5, 1\), expected \[batch, height, width, channels\]"):
        resize_align_corners(np.zeros((5, 5, 1), np.float32), (9, 9))
