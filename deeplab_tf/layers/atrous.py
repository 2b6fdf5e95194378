"""Atrous convolution, `y[i] = sum_k x[i + r k] w[k]` (section 3.1), in one and two dimensions.

Two ways give the same numbers. `space_to_batch` is the paper's: deinterleave the map by the rate r into r^d small
maps, run an ordinary convolution on each, interleave back. `native` leaves the holes to the convolution kernel.
"""

from __future__ import annotations

import functools
import logging
import math
import numbers
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

METHODS = ("space_to_batch", "native", "auto")
_log = logging.getLogger(__name__)


def same_padding(kernel_size: int, rate: int) -> tuple[int, int]:
    """Zeros (before, after) that keep the size: TensorFlow's SAME, the odd one of an even kernel goes after."""
    total = (kernel_size - 1) * rate
    return total // 2, total - total // 2


def atrous_conv(x: tf.Tensor, kernel: tf.Tensor, rate: int, method: str = "space_to_batch") -> tf.Tensor:
    """SAME atrous convolution with stride 1.

    Args:
      x: [batch, length, channels] or [batch, height, width, channels], any float type.
      kernel: [length, in, out] or [height, width, in, out], of the type of `x`.
      rate: distance between two taps in pixels, 1 for an ordinary convolution.
      method: "space_to_batch", "native" or "auto".

    Returns:
      As `x`, with the kernel's output channels.
    """
    way = resolve_method(method, x.dtype)
    if math.prod(kernel.shape[:-2]) == 1 and x.dtype == tf.float32:
        # As a matrix product, what oneDNN does up to 1.3 times (gradients 1.6 times) as fast as its 1x1 convolution;
        # in bfloat16 the convolution is the faster one.
        return _products(x, kernel)
    if rate == 1:
        return tf.nn.convolution(x, kernel, padding="SAME")
    if method != "native" and _few_outputs(x, kernel):
        taps = kernel.shape[:-2]
        products = _products(x, kernel)
        if way == "native":
            return _move_and_add(products, taps, rate)
        return _on_deinterleaved_maps(products, taps, rate, lambda maps, _: _move_and_add(maps, taps, 1))
    if way == "native":
        return (tf.nn.conv2d if x.shape.rank == 4 else tf.nn.conv1d)(x, kernel, 1, "SAME", dilations=rate)
    return _on_deinterleaved_maps(
        x, kernel.shape[:-2], rate, lambda maps, padding: tf.nn.convolution(maps, kernel, padding=padding)
    )


def _on_deinterleaved_maps(x: tf.Tensor, taps, rate: int, convolve: Callable[[tf.Tensor, str], tf.Tensor]) -> tf.Tensor:
    """Subsamples and deinterleaves x by the rate, convolves the small maps, interleaves the results."""
    # Maps of an odd kernel pad themselves by (k-1)/2 each, which spares padding the whole map by the dilated kernel.
    odd = all(size % 2 for size in taps)
    paddings = [(0, 0) if odd else same_padding(size, rate) for size in taps]
    extent = tf.shape(x)[1:-1]
    before = np.array([pad[0] for pad in paddings])
    after = np.array([pad[1] for pad in paddings])
    to_multiple = -(extent + before + after) % rate
    blocks = [rate] * len(taps)
    maps = tf.space_to_batch(x, blocks, tf.stack([tf.constant(before, tf.int32), after + to_multiple], axis=1))
    maps = convolve(maps, "SAME" if odd else "VALID")
    # What is too many is the padding up to a multiple of the rate: (k-1) r fewer rows already left with VALID.
    crops = tf.stack([tf.zeros_like(to_multiple), to_multiple], axis=1)
    y = tf.batch_to_space(maps, blocks, crops)
    return tf.ensure_shape(y, x.shape[:-1].concatenate(maps.shape[-1]))


def _few_outputs(x: tf.Tensor, kernel: tf.Tensor) -> bool:
    """Whether multiplying every pixel by every tap first, then moving the products, moves less than moving x.

    So it is in the heads, 2,048 channels to 9 taps of 21 scores: the ASPP head's gradients take less than half the
    time. Not in bfloat16, where the products would be rounded before they are added.
    """
    *taps, inputs, filters = kernel.shape
    return x.dtype == tf.float32 and all(size % 2 for size in taps) and math.prod(taps) * filters <= inputs


def _products(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """[batch, *spatial, in] -> [batch, *spatial, taps * out]: `x[i] w[k]` for every tap k."""
    last = len(kernel.shape) - 1
    weights = tf.transpose(kernel, [last - 1, *range(last - 1), last])
    return tf.tensordot(x, tf.reshape(weights, [kernel.shape[-2], -1]), 1)


def _move_and_add(products: tf.Tensor, taps, rate: int) -> tf.Tensor:
    """`y[i] = sum_k p_k[i + r k]`, zero outside: what is left of the convolution after `_products`."""
    padding = [(0, 0), *(same_padding(size, rate) for size in taps), (0, 0)]
    parts = tf.split(products, math.prod(taps), axis=-1)
    size = tf.concat([[-1], tf.shape(products)[1:-1], [-1]], axis=0)
    moved = [
        tf.slice(tf.pad(part, padding), [0, *(rate * k for k in tap), 0], size)
        for tap, part in zip(np.ndindex(*taps), parts, strict=True)
    ]
    return tf.ensure_shape(tf.add_n(moved), parts[0].shape)


def resolve_method(method: str, dtype: str | tf.DType = "float32") -> str:
    """Returns "space_to_batch" or "native"; "auto" is native where this device can train in `dtype` with it: it is faster.

    Raises:
      ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"atrous method: got {method!r}, expected one of {', '.join(METHODS)}.")
    return _auto_method(tf.as_dtype(dtype)) if method == "auto" else method


@functools.cache
def _auto_method(dtype: tf.DType) -> str:
    """Tries the gradients of a dilated kernel once: without oneDNN, or in float16, TensorFlow has none on the CPU."""
    with tf.init_scope():
        image, kernel = tf.ones([1, 5, 5, 1], dtype), tf.ones([3, 3, 1, 1], dtype)
        options = {"strides": [1] * 4, "padding": "SAME", "dilations": [1, 2, 2, 1]}
        try:
            tf.raw_ops.Conv2DBackpropInput(input_sizes=image.shape, filter=kernel, out_backprop=image, **options)
            tf.raw_ops.Conv2DBackpropFilter(input=image, filter_sizes=kernel.shape, out_backprop=image, **options)
            method, reason = "native", "this device trains through dilated kernels, which are faster"
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            method, reason = "space_to_batch", "this device has no gradient for dilated kernels"
    _log.info("atrous method auto: %s (%s)", method, reason)
    return method


def conv2d(x: tf.Tensor, kernel: tf.Tensor, strides: int = 1, rate: int = 1, method: str = "auto") -> tf.Tensor:
    """Caffe's convolution: `rate * (k-1)/2` zeros on every side, output size floored.

    Args:
      x: [batch, height, width, in].
      kernel: [k, k, in, out]; odd k where `strides` is above 1.
      strides: 1, or more with rate 1.
    """
    if strides == 1:
        return atrous_conv(x, kernel, rate, method)
    if rate != 1:
        raise ValueError(f"conv2d: got stride {strides} with rate {rate}, expected one of them to be 1.")
    pad = (kernel.shape[0] - 1) // 2
    if pad == 0:
        return atrous_conv(x[:, ::strides, ::strides], kernel, rate, method)
    return tf.nn.conv2d(x, kernel, strides, [[0, 0], [pad, pad], [pad, pad], [0, 0]])


class _AtrousConv(keras.layers.Layer):
    """What the one- and the two-dimensional layer share."""

    dims: int

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        rate: int = 1,
        method: str = "space_to_batch",
        *,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("filters", filters), ("kernel_size", kernel_size), ("rate", rate)):
            if not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"{type(self).__name__} {name}: got {value!r}, expected a whole number from 1.")
        if method not in METHODS:
            raise ValueError(f"{type(self).__name__} method: got {method!r}, expected one of {', '.join(METHODS)}.")
        self.filters, self.kernel_size, self.rate, self.method = int(filters), int(kernel_size), int(rate), method
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=self.dims + 2)

    def build(self, input_shape):
        self.input_spec = keras.layers.InputSpec(ndim=self.dims + 2, axes={-1: input_shape[-1]})
        shape = (self.kernel_size,) * self.dims + (input_shape[-1], self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)

    def call(self, x):
        x = tf.convert_to_tensor(x)
        y = atrous_conv(x, tf.cast(self.kernel, x.dtype), self.rate, self.method)
        if self.use_bias:
            y = tf.nn.bias_add(y, tf.cast(self.bias, x.dtype))
        return self.activation(y)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "rate": self.rate,
            "method": self.method,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable(package="deeplab_tf")
class AtrousConv1D(_AtrousConv):
    """1-D atrous convolution, SAME, stride 1: [batch, length, channels] -> [batch, length, filters].

    Args:
      filters: output channels.
      kernel_size: taps of the kernel; they span `(kernel_size - 1) * rate + 1` samples.
      rate: distance between two taps, 1 for an ordinary convolution.
      method: "space_to_batch" (the paper's), "native" (the kernel's own dilation) or "auto" (the faster one that
        can train on this device). All give the same numbers.
      activation, use_bias, kernel_initializer, bias_initializer: as in `keras.layers.Conv1D`.

    Raises:
      ValueError: a size that is not a whole number from 1, or an unknown method.
    """

    dims = 1


@keras.saving.register_keras_serializable(package="deeplab_tf")
class AtrousConv2D(_AtrousConv):
    """2-D atrous convolution, SAME, stride 1: [batch, height, width, channels] -> [batch, height, width, filters].

    Args and Raises: as `AtrousConv1D`; the kernel is `kernel_size` x `kernel_size`, HWIO.
    """

    dims = 2
