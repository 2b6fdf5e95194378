"""Atrous convolution against its definition: every kernel size and rate, both methods, gradients, any map size."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import atrous as oracle

from deeplab_tf.layers import AtrousConv1D, AtrousConv2D, resolve_method
from deeplab_tf.layers.atrous import atrous_conv, conv2d

METHODS = ("space_to_batch", "native", "auto")
SIZES = ((7, 10), (12, 9), (25, 31), (1, 5))


def _has_gradient(method):
    """Without oneDNN, TensorFlow has no gradient of a dilated kernel on the CPU; `auto` knows."""
    return method != "native" or resolve_method("auto") == "native"


def _random(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def _check(x, kernel, rate, method):
    """Value and both gradients; the tolerance is float32 rounding over k * k * in products."""
    expected = oracle.atrous_conv(x, kernel, rate)
    tolerance = 1e-5 * np.abs(expected).max()
    upstream = _random(*expected.shape, seed=1)
    x, kernel = tf.constant(x), tf.constant(kernel)
    if not _has_gradient(method):
        np.testing.assert_allclose(atrous_conv(x, kernel, rate, method), expected, atol=tolerance)
        return
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = atrous_conv(x, kernel, rate, method)
    gradients = tape.gradient(y, [x, kernel], output_gradients=upstream)
    np.testing.assert_allclose(y, expected, atol=tolerance)
    for ours, theirs in zip(gradients, oracle.atrous_conv_gradients(x, kernel.numpy(), rate, upstream), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", range(1, 8))
def test_2d_equals_the_definition(size, method):
    for rate in range(1, 25):
        height, width = SIZES[(rate + size) % len(SIZES)]
        _check(_random(2, height, width, 3), _random(size, size, 3, 2), rate, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", range(1, 8))
def test_1d_equals_the_definition(size, method):
    for rate in range(1, 25):
        _check(_random(2, (10, 27, 64, 1)[rate % 4], 3), _random(size, 3, 2), rate, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "rate"), [(1, 3), (3, 2), (3, 12), (3, 24), (5, 6), (4, 3)])
def test_few_outputs_equal_the_definition(size, rate, method):
    """As in the heads: many channels to a few scores, where multiplying first and moving the products is cheaper."""
    for height, width in SIZES:
        _check(_random(2, height, width, 2 * size**2), _random(size, size, 2 * size**2, 2), rate, method)
        _check(_random(2, width, 2 * size), _random(size, 2 * size, 2), rate, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "rate", "outputs"), [(3, 2, 3), (3, 12, 1), (4, 8, 3), (7, 4, 3), (1, 3, 2)])
def test_dynamic_shapes_equal_the_definition(size, rate, outputs, method):
    inputs = max(2, size**2 * outputs if outputs < 3 else 0)  # enough for the order that suits few outputs
    kernel = _random(size, size, inputs, outputs)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, inputs])])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = atrous_conv(x, tf.constant(kernel), rate, method)
        return y, tape.gradient(y, x) if _has_gradient(method) else x

    for batch, (height, width) in enumerate(SIZES, start=1):
        x = _random(batch, height, width, inputs)
        y, gradient = run(x)
        np.testing.assert_allclose(y, oracle.atrous_conv(x, kernel, rate), atol=3e-5)
        if _has_gradient(method):
            expected, _ = oracle.atrous_conv_gradients(x, kernel, rate, np.ones(y.shape))
            np.testing.assert_allclose(gradient, expected, atol=3e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_impulse_shows_the_kernel_with_holes(method):
    rate, kernel = 5, _random(3, 3, 1, 1)
    x = np.zeros((1, 25, 27, 1), np.float32)
    x[0, 12, 13, 0] = 1
    y = atrous_conv(tf.constant(x), tf.constant(kernel), rate, method).numpy()
    expected = np.zeros_like(y)
    expected[0, 7:18:5, 8:19:5] = kernel[::-1, ::-1, :, 0]  # a correlation mirrors the impulse's response
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_shifted_map_gives_a_shifted_result(method):
    """By steps that are no multiple of the rate, which mixes all the small maps of the deinterleaving."""
    rate, margin = 4, 8
    x = np.zeros((1, 40, 40, 2), np.float32)
    x[:, 12:25, 12:27] = _random(1, 13, 15, 2)
    kernel = tf.constant(_random(5, 5, 2, 2))
    y = atrous_conv(tf.constant(x), kernel, rate, method).numpy()
    shifted = atrous_conv(tf.constant(np.roll(x, (3, -2), (1, 2))), kernel, rate, method).numpy()
    inside = (slice(None), slice(margin, -margin), slice(margin, -margin))
    np.testing.assert_allclose(shifted[inside], np.roll(y, (3, -2), (1, 2))[inside], atol=1e-5)


@pytest.mark.parametrize("rate", [2, 7])
def test_the_doubled_net_sub_samples_to_the_original(rate):
    """Section 3.1: convolving the dense map with rate r and sub-sampling by r is convolving the sub-sampled map."""
    x, kernel = tf.constant(_random(1, 6 * rate + 1, 5 * rate + 1, 3)), tf.constant(_random(3, 3, 3, 2))
    dense = atrous_conv(x, kernel, rate)[:, ::rate, ::rate]
    np.testing.assert_allclose(dense, atrous_conv(x[:, ::rate, ::rate], kernel, 1), atol=1e-5)


@pytest.mark.parametrize(("layer", "shape", "dims"), [(AtrousConv1D, (2, 19, 3), 1), (AtrousConv2D, (2, 19, 14, 3), 2)])
@pytest.mark.parametrize("method", METHODS)
def test_layer_adds_bias_and_activation(layer, shape, dims, method):
    conv = layer(4, 3, rate=3, method=method, activation="relu", bias_initializer="ones")
    x = _random(*shape)
    y = conv(x).numpy()
    assert [tuple(v.shape) for v in conv.weights] == [(3,) * dims + (3, 4), (4,)]
    np.testing.assert_allclose(y, np.maximum(oracle.atrous_conv(x, conv.kernel.numpy(), 3) + 1, 0), atol=3e-5)
    assert conv.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])
    copy = layer.from_config(conv.get_config())
    copy.build(x.shape)
    copy.set_weights(conv.get_weights())
    np.testing.assert_array_equal(copy(x), y)


def test_layer_in_bfloat16_keeps_float32_weights():
    x = _random(1, 20, 20, 8)
    conv = AtrousConv2D(4, 3, rate=6, dtype="mixed_bfloat16")
    y = conv(x)
    assert y.dtype == tf.bfloat16 and conv.kernel.dtype == "float32"
    np.testing.assert_allclose(tf.cast(y, tf.float32), oracle.atrous_conv(x, conv.kernel.numpy(), 6), atol=0.05)


def test_layers_are_of_the_papers_method_by_default():
    assert AtrousConv1D(1, 3).method == AtrousConv2D(1, 3).method == "space_to_batch"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": 0}, "filters: got 0"),
        ({"kernel_size": 2.5}, "kernel_size: got 2.5"),
        ({"rate": 0}, "rate: got 0"),
        ({"method": "holes"}, "method: got 'holes', expected one of space_to_batch, native, auto"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        AtrousConv2D(**{"filters": 1, "kernel_size": 3} | arguments)


def test_wrong_method_and_stride_with_rate_are_named():
    with pytest.raises(ValueError, match="atrous method: got 'x'"):
        resolve_method("x")
    with pytest.raises(ValueError, match="stride 2 with rate 2"):
        conv2d(tf.zeros([1, 5, 5, 1]), tf.zeros([3, 3, 1, 1]), strides=2, rate=2)


@pytest.mark.parametrize(("size", "strides", "rate"), [(1, 1, 1), (1, 2, 1), (3, 1, 2), (3, 2, 1), (7, 2, 1), (7, 1, 1)])
@pytest.mark.parametrize(("height", "width"), [(9, 12), (8, 7), (2, 1)])
def test_conv2d_has_caffes_padding_and_size(size, strides, rate, height, width):
    x, kernel = _random(2, height, width, 3), _random(size, size, 3, 2)
    expected = oracle.conv2d(x, kernel, strides, rate, pad=rate * (size - 1) // 2)
    np.testing.assert_allclose(conv2d(tf.constant(x), tf.constant(kernel), strides, rate), expected, atol=3e-5)


_TRAIN_WITHOUT_ONEDNN = """
import logging, tensorflow as tf
logging.basicConfig(level=logging.INFO, format="%(message)s")
from deeplab_tf.layers import resolve_method
from deeplab_tf.models.deeplab import build_model
model = build_model("vgg16_aspp_l", 3, width=1 / 16, atrous_method="auto")
x, labels = tf.random.stateless_uniform([1, 65, 65, 3], [1, 2], 0, 255), tf.zeros([1, 9, 9], tf.int32)
optimizer = tf.keras.optimizers.SGD(1e-3)
losses = []
for _ in range(4):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(x, training=True)))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    losses.append(float(loss))
assert losses[-1] < losses[0], losses
print("trained by", resolve_method("auto"))
"""


def test_auto_trains_where_dilated_kernels_have_no_gradient():
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}
    run = subprocess.run([sys.executable, "-c", _TRAIN_WITHOUT_ONEDNN], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "trained by space_to_batch" in run.stdout
    assert run.stderr.count("atrous method auto: space_to_batch") == 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_auto_trains_in_every_float_type(dtype):
    layer, x = AtrousConv2D(np.int64(4), 3, 2, method="auto", dtype=dtype), tf.ones((1, 9, 9, 3), dtype)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(x))
    gradient = tape.gradient(y, layer.kernel.value)
    assert gradient.dtype == dtype and float(tf.reduce_sum(tf.abs(tf.cast(gradient, tf.float32)))) > 0


def test_auto_is_native_where_that_trains():
    """On the CPU, where oneDNN brings the gradient of dilated kernels; elsewhere it must at least be one that trains."""
    x, kernel = tf.constant(_random(1, 9, 9, 2)), tf.constant(_random(3, 3, 2, 2))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2)
    try:
        tape.gradient(y, kernel)
        expected = "native"
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        expected = "space_to_batch"
    assert resolve_method("auto") == expected


def test_unknown_dimensions_of_the_result_stay_unknown():
    y = AtrousConv2D(4, 3, rate=2)(keras.Input((None, 30, 3)))
    assert y.shape == (None, None, 30, 4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size, rate", [((3, 5), (4, 2)), ((2, 3), (1, 3)), ((1, 3), (5, 2)), ((3, 3), 2), ((4, 4), 3)])
def test_every_axis_has_its_own_size_and_rate_and_valid_is_the_inside_of_same(size, rate, method):
    """Taps put with zeros between them by hand, against Keras' convolution of the large kernel."""
    x, kernel = _random(2, 19, 23, 3), _random(*size, 3, 4)
    rates = (rate, rate) if isinstance(rate, int) else rate
    large = np.zeros((*((k - 1) * r + 1 for k, r in zip(size, rates, strict=True)), 3, 4), np.float32)
    large[:: rates[0], :: rates[1]] = kernel
    for padding in ("same", "valid"):
        layer = AtrousConv2D(4, size, rate, method, padding=padding, use_bias=False)
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        expected = tf.nn.conv2d(x, large, 1, padding.upper())
        np.testing.assert_allclose(layer(x), expected, atol=1e-4)
        assert layer.compute_output_shape(x.shape) == tuple(expected.shape)
        copy = AtrousConv2D.from_config(layer.get_config())
        assert (copy.kernel_size, copy.rate, copy.padding) == (layer.kernel_size, layer.rate, padding)


def test_1d_valid():
    x, layer = _random(2, 11, 3), AtrousConv1D(4, 3, 2, padding="valid")
    assert layer(x).shape == (2, 7, 4) == layer.compute_output_shape(x.shape)
    with pytest.raises(ValueError, match="got a map of .4,., expected more than .4,."):
        layer.compute_output_shape((2, 4, 3))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("layer", "size"), [(AtrousConv1D, (4,)), (AtrousConv2D, (9, 4)), (AtrousConv2D, (3, 9))])
def test_a_map_too_small_for_valid_is_refused(layer, size, method):
    conv = layer(2, 3, 2, method, padding="valid")
    traced = tf.function(conv, input_signature=[tf.TensorSpec([None, *(None for _ in size), 3])])
    assert traced(_random(1, *(5 for _ in size), 3)).shape[1:-1] == (1,) * len(size)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected more than .4,.* for valid padding"):
        traced(_random(1, *size, 3))
    with pytest.raises(ValueError, match="got a map of .*, expected more than .4,"):
        conv(_random(1, *size, 3))


def test_regularizers_and_constraints_are_keras_own():
    layer = AtrousConv2D(
        4, 3, 2, kernel_regularizer=keras.regularizers.L2(0.1), bias_regularizer="l1", activity_regularizer="l2",
        kernel_constraint="non_neg", bias_constraint=keras.constraints.MaxNorm(1),
    )  # fmt: skip
    layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    y = layer(_random(1, 9, 9, 3))
    expected = 0.1 * np.sum(layer.kernel.numpy() ** 2), 0.0, 0.01 * np.sum(y.numpy() ** 2)
    np.testing.assert_allclose(sorted(map(float, layer.losses)), sorted(expected), rtol=1e-4)
    layer.kernel.assign(-layer.kernel)
    assert layer.kernel.constraint(layer.kernel).numpy().min() == 0 and layer.bias.constraint.max_value == 1


def test_a_sequential_keeps_static_shapes():
    for first in ([keras.Input((12, 17, 3))], []):
        ours = [AtrousConv2D(4, 3, 2), AtrousConv2D(2, 3, 3, padding="valid")]
        model = keras.Sequential([*first, *ours, keras.layers.Flatten(), keras.layers.Dense(2)])
        assert model(_random(2, 12, 17, 3)).shape == (2, 2) and model.layers[1].output.shape[1:] == (6, 11, 2)
    traced = tf.function(model.layers[1]).get_concrete_function(tf.TensorSpec((None, 12, 17, 4)))
    assert traced.output_shapes.as_list() == [None, 6, 11, 2]


@pytest.mark.parametrize("options", [{"kernel_size": (3, 0)}, {"rate": (1, 2, 3)}, {"padding": "causal"}, {"rate": 1.5}])
def test_what_the_layer_refuses(options):
    with pytest.raises(ValueError, match=f"AtrousConv2D {next(iter(options))}: got "):
        AtrousConv2D(**{"filters": 2, "kernel_size": 3} | options)
