"""The composite of convolution and batch norm against the two as the published nets run them, one after the other."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import atrous as oracle

from deeplab_tf.layers import ConvBatchNorm, resolve_method
from deeplab_tf.published import BATCH_NORM_EPSILON

GEOMETRIES = [(1, 1, 1), (1, 2, 1), (3, 1, 1), (3, 1, 4), (7, 2, 1)]


def _random(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def _layer(size=3, strides=1, rate=2, filters=4, channels=3, **options):
    """A layer whose statistics are those of no trivial batch norm; some variances are tiny, as the published ones."""
    layer = ConvBatchNorm(filters, size, "bn", strides=strides, rate=rate, name="conv", **options)
    layer.build((None, None, None, channels))
    bn = layer.statistics
    bn.gamma.assign(_random(filters, seed=1))
    bn.beta.assign(_random(filters, seed=2))
    bn.moving_mean.assign(_random(filters, seed=3))
    bn.moving_variance.assign(np.geomspace(8.6e-7, 2, filters))
    return layer


def _unfolded(layer, x, relu=True):
    """float64: convolution, then (y - mean) / sqrt(variance + eps) * gamma + beta, then ReLU."""
    y = oracle.conv2d(x, layer.kernel.numpy(), layer.strides, layer.rate, layer.rate * (layer.kernel_size - 1) // 2)
    bn = layer.statistics
    mean, variance = np.float64(bn.moving_mean.numpy()), np.float64(bn.moving_variance.numpy())
    y = (y - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * bn.gamma.numpy() + bn.beta.numpy()
    return np.maximum(y, 0) if relu else y


@pytest.mark.parametrize(("size", "strides", "rate"), GEOMETRIES)
@pytest.mark.parametrize("training", [False, True])
def test_frozen_equals_the_unfolded_layers(size, strides, rate, training):
    layer, x = _layer(size, strides, rate), _random(2, 10, 13, 3)
    y = layer(x, training=training)
    expected = _unfolded(layer, x)
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())
    assert layer.compute_output_shape((None, 10, 13, 3)) == (None, *y.shape[1:])


def test_without_relu():
    layer, x = _layer(relu=False), _random(1, 8, 8, 3)
    expected = _unfolded(layer, x, relu=False)
    assert expected.min() < 0
    np.testing.assert_allclose(layer(x), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", sorted({"space_to_batch", resolve_method("auto")}))  # those that this device trains
def test_gradients_equal_those_of_the_unfolded_layers(method):
    layer = _layer(rate=3, method=method)
    x, upstream = tf.constant(_random(2, 9, 8, 3)), _random(2, 9, 8, 4, seed=5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    by_x, by_kernel = tape.gradient(y, [x, layer.kernel.value], output_gradients=upstream)
    through = upstream * (_unfolded(layer, x.numpy()) > 0)
    scale = layer.statistics.gamma.numpy() / np.sqrt(layer.statistics.moving_variance.numpy() + BATCH_NORM_EPSILON)
    expected = oracle.atrous_conv_gradients(x.numpy(), layer.kernel.numpy(), 3, through * scale)
    for ours, theirs in zip((by_x, by_kernel), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_frozen_trains_the_kernel_alone():
    layer = _layer()
    assert [v.path for v in layer.trainable_variables] == ["conv/kernel"]
    assert sorted(v.path.split("/", 1)[1] for v in layer.non_trainable_variables) == [
        "bn/beta",
        "bn/gamma",
        "bn/moving_mean",
        "bn/moving_variance",
    ]
    before = [v.numpy() for v in layer.statistics.weights]
    layer(_random(2, 8, 8, 3), training=True)
    for old, new in zip(before, layer.statistics.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_unfrozen_normalises_by_the_batch_and_moves_the_statistics():
    layer, x = _layer(frozen=False, relu=False), _random(16, 8, 9, 3)
    old_mean, old_variance = layer.statistics.moving_mean.numpy(), layer.statistics.moving_variance.numpy()
    conv = oracle.conv2d(x, layer.kernel.numpy(), 1, 2, 2)
    mean, variance = conv.mean((0, 1, 2)), conv.var((0, 1, 2))
    normal = (conv - mean) / np.sqrt(variance + BATCH_NORM_EPSILON)
    expected = normal * layer.statistics.gamma.numpy() + layer.statistics.beta.numpy()
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-4)
    np.testing.assert_allclose(layer.statistics.moving_mean, 0.99 * old_mean + 0.01 * mean, atol=1e-5)
    np.testing.assert_allclose(layer.statistics.moving_variance, 0.99 * old_variance + 0.01 * variance, atol=1e-5)
    after = _unfolded(layer, x, relu=False)
    np.testing.assert_allclose(layer(x, training=False), after, atol=1e-5 * np.abs(after).max())


def test_unfrozen_trains_gamma_and_beta():
    layer = _layer(frozen=False)
    assert sorted(v.path.split("/", 1)[1] for v in layer.trainable_variables) == ["bn/beta", "bn/gamma", "kernel"]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(_random(16, 6, 6, 3), training=True) ** 2)
    assert all(np.abs(g).max() > 0 for g in tape.gradient(loss, [v.value for v in layer.trainable_variables]))


def test_a_layer_that_is_not_trainable_is_frozen():
    """As Keras' own batch norm: the statistics stay and are what is normalised by."""
    layer = _layer(frozen=False)
    layer.trainable = False
    x, before = _random(16, 6, 6, 3), layer.get_weights()
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    layer.trainable = True
    layer(x, training=True)
    assert not np.array_equal(before[-1], layer.get_weights()[-1])


@pytest.mark.parametrize(
    ("batch", "frozen", "training", "warned"),
    [(15, False, True, True), (16, False, True, False), (2, True, True, False), (2, False, False, False)],
)
def test_small_batches_are_warned_of_once_where_they_normalise(caplog, batch, frozen, training, warned):
    layers = [_layer(frozen=frozen, filters=3, rate=1) for _ in range(2)]
    with caplog.at_level(logging.WARNING, "deeplab_tf"):
        x = _random(batch, 6, 6, 3)
        for layer in layers:
            x = layer(x, training=training)
    assert len([r for r in caplog.records if f"batches of {batch}" in r.message]) == int(warned)


def test_bfloat16_folds_in_float32():
    """Kernel times scale is rounded once: the result is as near as the rounded operands allow."""
    x = _random(1, 12, 12, 16)
    layer = _layer(channels=16, dtype="mixed_bfloat16")
    y = layer(x)
    assert y.dtype == tf.bfloat16 and {v.dtype for v in layer.weights} == {"float32"}
    expected = _unfolded(layer, x)
    assert np.abs(tf.cast(y, tf.float32) - expected).max() < 0.02 * np.abs(expected).max()


def test_config_rebuilds_the_layer():
    layer, x = _layer(), _random(1, 8, 8, 3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(x), layer(x))
