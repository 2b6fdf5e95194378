"""3x3 convolution in fewer products: against the definition, in parts, with gradients, and where it is chosen."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from oracles import atrous as oracle

from deeplab_tf.layers import winograd
from deeplab_tf.layers.atrous import atrous_conv

CHANNELS = 128  # from which on it is chosen


def _random(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def _dynamic(function, channels):
    return tf.function(function, input_signature=[tf.TensorSpec([None, None, None, channels])], autograph=False)


@pytest.mark.parametrize(
    ("height", "width", "rate"),
    [(1, 1, 1), (3, 10, 2), (9, 4, 3), (16, 8, 1), (16, 8, 4), (21, 33, 1), (21, 33, 4), (21, 33, 12), (2, 30, 12)],
)
def test_any_size_and_rate_equal_the_definition(height, width, rate):
    x, kernel = _random(2, height, width, 5), _random(3, 3, 5, 7)
    expected = oracle.atrous_conv(x, kernel, rate)
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(winograd.conv3x3(tf.constant(x), tf.constant(kernel), rate), expected, atol=tolerance)
    dynamic = _dynamic(lambda x: winograd.conv3x3(x, tf.constant(kernel), rate), 5)
    np.testing.assert_allclose(dynamic(x), expected, atol=tolerance)


@pytest.mark.parametrize("tiles", [1, 5, 24])
def test_parts_change_nothing(monkeypatch, tiles):
    x, kernel, of_y = tf.constant(_random(2, 19, 14, 4)), tf.constant(_random(3, 3, 4, 6)), tf.constant(_random(2, 19, 14, 6))
    whole = winograd.conv3x3(x, kernel, 2), winograd.kernel_gradient(x, of_y, 2)
    monkeypatch.setattr(winograd, "_TILES", tiles)
    winograd._traced.cache_clear()
    parts = winograd.conv3x3(x, kernel, 2), winograd.kernel_gradient(x, of_y, 2)
    winograd._traced.cache_clear()
    for some, all_at_once in zip(parts, whole, strict=True):
        np.testing.assert_allclose(some, all_at_once, atol=5e-6 * np.abs(all_at_once).max())


def test_rounding_errors_are_those_of_the_docstring():
    """Of many channels, behind a ReLU: 1.1e-6 of the outputs' deviation, where the usual points have 2.3e-6."""
    x = np.maximum(_random(1, 32, 32, 256), 0)
    kernel = _random(3, 3, 256, 16) / np.sqrt(9 * 128).astype(np.float32)
    exact = tf.nn.conv2d(tf.constant(x, tf.float64), tf.constant(kernel, tf.float64), 1, "SAME").numpy()
    error = winograd.conv3x3(tf.constant(x), tf.constant(kernel), 1).numpy() - exact
    assert error.std() < 1.5e-6 * exact.std()
    assert np.abs(error).max() < 2e-5 * exact.std()


@pytest.mark.parametrize(("rate", "height", "width"), [(1, 12, 7), (2, 8, 15), (4, 16, 15)])
@pytest.mark.parametrize("dynamic", [False, True])
def test_values_and_gradients_where_it_is_chosen(rate, height, width, dynamic):
    x, kernel = _random(1, height, width, CHANNELS), _random(3, 3, CHANNELS, CHANNELS + 1)
    upstream = _random(1, height, width, CHANNELS + 1, seed=1)

    def run(x):
        weights = tf.constant(kernel)
        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            y = atrous_conv(x, weights, rate)
        return y, *tape.gradient(y, [x, weights], output_gradients=upstream)

    assert winograd.pays(height, width, rate)
    found = (_dynamic(run, CHANNELS) if dynamic else run)(tf.constant(x))
    expected = oracle.atrous_conv(x, kernel, rate), *oracle.atrous_conv_gradients(x, kernel, rate, upstream)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def test_maps_that_need_more_products_are_left_to_the_definition():
    sizes = [(65, 65), (41, 47), (24, 24), (12, 100), (9, 9)]
    assert [winograd.pays(*size, 12) for size in sizes] == [True, True, False, False, False]
    assert [bool(winograd.pays(*tf.constant(size), 12)) for size in sizes] == [True, True, False, False, False]
    assert winograd.products(65, 47, 2) == 36 * (2 * 9) * (2 * 6)
    kernel = _random(3, 3, CHANNELS, CHANNELS)
    convolve = _dynamic(lambda x: atrous_conv(x, tf.constant(kernel), 12), CHANNELS)
    for height, width in ((12, 14), (48, 14)):
        x = _random(1, height, width, CHANNELS)
        expected = oracle.atrous_conv(x, kernel, 12)
        np.testing.assert_allclose(convolve(x), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (12, 14), (13, 40)])
def test_maps_near_the_rate_have_the_gradients_of_double_precision(size):
    """Taps that lie on the map nowhere, in a corner, or everywhere."""
    assert not winograd.pays(*size, 12)
    x, kernel, of_y = _random(2, *size, CHANNELS), _random(3, 3, CHANNELS, CHANNELS), _random(2, *size, CHANNELS)

    def found(dtype):
        values = [tf.constant(array, dtype) for array in (x, kernel, of_y)]
        with tf.GradientTape() as tape:
            tape.watch(values)
            y = atrous_conv(values[0], values[1], 12)
        return y, *tape.gradient(y, values[:2], values[2])

    for single, double in zip(found("float32"), found("float64"), strict=True):
        np.testing.assert_allclose(single, double, atol=1e-5 * np.abs(double).max())


@pytest.mark.parametrize(
    ("method", "dtype", "shape", "chosen"),
    [
        ("space_to_batch", "float32", (3, 3, CHANNELS, CHANNELS), True),
        ("auto", "float32", (3, 3, CHANNELS, CHANNELS), True),
        ("native", "float32", (3, 3, CHANNELS, CHANNELS), False),
        ("space_to_batch", "bfloat16", (3, 3, CHANNELS, CHANNELS), False),
        ("space_to_batch", "float64", (3, 3, CHANNELS, CHANNELS), False),
        ("space_to_batch", "float32", (3, 3, CHANNELS - 1, CHANNELS), False),
        ("space_to_batch", "float32", (3, 3, CHANNELS, CHANNELS - 1), False),
        ("space_to_batch", "float32", (5, 5, CHANNELS, CHANNELS), False),
        ("space_to_batch", "float32", (3, CHANNELS, CHANNELS), False),
    ],
)
def test_which_kernels_it_takes(method, dtype, shape, chosen):
    @tf.function
    def run(x):
        return atrous_conv(x, tf.zeros(shape, dtype), 2, method)

    graph = run.get_concrete_function(tf.TensorSpec([1, *[64] * (len(shape) - 2), shape[-2]], dtype)).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert ("Conv2D" not in kinds) == chosen


def test_an_empty_batch_stays_empty():
    x = tf.zeros([0, 20, 24, CHANNELS])
    assert atrous_conv(x, tf.zeros([3, 3, CHANNELS, CHANNELS]), 2).shape == (0, 20, 24, CHANNELS)


def test_layers_of_one_shape_keep_their_own_weights_where_a_server_keeps_them():
    """TF_ONEDNN_ASSUME_FROZEN_WEIGHTS keeps a kernel's weights at its first run, and layers of one shape share a function."""
    code = """
import numpy as np, tensorflow as tf
from deeplab_tf.layers.atrous import atrous_conv
random = np.random.default_rng(0).standard_normal
x, kernels = tf.constant(random((1, 17, 17, 128)), tf.float32), tf.constant(random((3, 3, 3, 128, 128)) / 34, tf.float32)
def net(x, kernels, method):
    for kernel in tf.unstack(kernels):
        x = atrous_conv(x, kernel, 2, method)
    return x
net = tf.function(net)
for _ in range(2):
    np.testing.assert_allclose(net(x, kernels, "space_to_batch"), net(x, kernels, "native"), atol=1e-3)
"""
    settings = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}
    subprocess.run([sys.executable, "-c", code], env=os.environ | settings, check=True, timeout=300)
