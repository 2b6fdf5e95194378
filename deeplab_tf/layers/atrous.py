"""Atrous convolution, `y[i] = sum_k x[i + r k] w[k]` (section 3.1), in one and two dimensions.

Two ways give the same numbers. `space_to_batch` is the paper's: deinterleave the map by the rate r into r^d small
maps, run an ordinary convolution on each, interleave back. `native` leaves the holes to the convolution kernel.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.layers import winograd

METHODS = ("space_to_batch", "native", "auto")
_log = logging.getLogger(__name__)


def per_axis(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    """One number for every spatial axis."""
    return (value,) * dims if isinstance(value, int | np.integer) else tuple(value)


def same_padding(kernel_size: int, rate: int) -> tuple[int, int]:
    """Zeros (before, after) that keep the size: TensorFlow's SAME, the odd one of an even kernel goes after."""
    total = (kernel_size - 1) * rate
    return total // 2, total - total // 2


def atrous_conv(
    x: tf.Tensor, kernel: tf.Tensor, rate: int | Sequence[int], method: str = "space_to_batch", padding: str = "same"
) -> tf.Tensor:
    """Atrous convolution with stride 1.

    Args:
      x: [batch, length, channels] or [batch, height, width, channels], any float type.
      kernel: [length, in, out] or [height, width, in, out], of the type of `x`.
      rate: distance between two taps in pixels, 1 for an ordinary convolution; one number, or one for every axis.
      method: "space_to_batch", "native" or "auto".
      padding: "same", or "valid": only where the whole kernel lies on the map, `(k - 1) * rate` positions fewer.

    Returns:
      As `x`, with the kernel's output channels.

    Raises:
      ValueError: a map too small for "valid".
      InvalidArgumentError: the same, where its size is only known when it comes.
    """
    rates, taps = per_axis(rate, kernel.shape.rank - 2), kernel.shape[:-2]
    if padding == "valid":
        x = _large_enough(x, [(size - 1) * rate for size, rate in zip(taps, rates, strict=True)])
    y = _same(x, kernel, rates, resolve_method(method, x.dtype), native_only=method == "native")
    if padding == "same":
        return y
    for axis, pads in enumerate(map(same_padding, taps, rates), start=1):
        y = _cut(y, axis, *pads)
    return y


def _large_enough(x: tf.Tensor, lost: Sequence[int]) -> tf.Tensor:
    """x itself; refused where no whole kernel lies on it, as Keras' convolutions do."""
    sizes = x.shape[1:-1]
    wanted = f"expected more than {tuple(lost)} for valid padding; give a larger map or same padding."
    if any(size is not None and size <= less for size, less in zip(sizes, lost, strict=True)):
        raise ValueError(f"atrous_conv: got a map of {tuple(sizes)}, {wanted}")
    if None not in sizes:
        return x
    with tf.control_dependencies([tf.debugging.assert_greater(tf.shape(x)[1:-1], list(lost), f"atrous_conv: {wanted}")]):
        return tf.identity(x)


def _cut(y: tf.Tensor, axis: int, before: int, after: int) -> tf.Tensor:
    """Without the first and last positions of an axis, at which zeros were convolved."""
    cuts = [slice(None)] * y.shape.rank
    cuts[axis] = slice(before, -after or None)
    return y[tuple(cuts)]


def _same(x: tf.Tensor, kernel: tf.Tensor, rates: tuple[int, ...], way: str, native_only: bool) -> tf.Tensor:
    taps = kernel.shape[:-2]
    if math.prod(taps) == 1 and x.dtype == tf.float32:
        # As a matrix product, what oneDNN does up to 1.3 times (gradients 1.6 times) as fast as its 1x1 convolution;
        # in bfloat16 the convolution is the faster one.
        return _products(x, kernel)
    if not native_only and len(set(rates)) == 1 and winograd.applies(kernel.shape, x.dtype):
        return _in_fewer_products(x, kernel, rates[0])
    return _plain(x, kernel, rates, way, native_only)


def _in_fewer_products(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    """By Winograd's products, forth and back, wherever the map's size lets them pay, else tap by tap."""
    height, width = x.shape[1:3] if x.shape[1:3].is_fully_defined() else tf.unstack(tf.shape(x)[1:3])
    pays = winograd.pays(height, width, rate)
    if pays is False:
        return _tap_by_tap(x, kernel, rate)

    def either(fewer, plainly):
        return fewer() if pays is True else tf.cond(pays, fewer, plainly)

    def convolve(x, kernel):
        return either(lambda: winograd.conv3x3(x, kernel, rate), lambda: _tap_by_tap(x, kernel, rate))

    def by_kernel(of_y):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = _tap_by_tap(x, kernel, rate)
        return tape.gradient(y, kernel, of_y)

    @tf.custom_gradient
    def convolution(x, kernel):
        def gradient(of_y):
            mirrored = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
            return convolve(of_y, mirrored), either(lambda: winograd.kernel_gradient(x, of_y, rate), lambda: by_kernel(of_y))

        return convolve(x, kernel), gradient

    return tf.ensure_shape(convolution(x, kernel), x.shape[:-1].concatenate(kernel.shape[-1]))


def _tap_by_tap(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    """A matrix product for every tap, of those positions alone at which it lies on the map: with a rate near the map's size
    they are few, and deinterleaved maps would be of a pixel or two each, which without oneDNN train four times as slowly."""
    taps, size = kernel.shape[:-2], tf.shape(x)[1:-1]
    parts = []
    for tap, weights in zip(np.ndindex(*taps), tf.unstack(tf.reshape(kernel, [-1, 1, 1, *kernel.shape[-2:]])), strict=True):
        places = [rate * place - same_padding(count, rate)[0] for place, count in zip(tap, taps, strict=True)]
        offset = np.array(places, np.int32)
        missing = tf.minimum(np.abs(offset), size)
        before = tf.where(offset < 0, missing, 0)  # outputs that this tap leaves out above and to the left, else behind
        begin, extent = tf.where(offset > 0, missing, 0), size - missing
        product = _products(tf.slice(x, tf.pad(begin, [[1, 1]]), [-1, *tf.unstack(extent), -1]), weights)
        parts.append(tf.pad(product, tf.pad(tf.stack([before, missing - before], axis=1), [[1, 1], [0, 0]])))
    return tf.ensure_shape(tf.add_n(parts), x.shape[:-1].concatenate(kernel.shape[-1]))


def _plain(x: tf.Tensor, kernel: tf.Tensor, rates: tuple[int, ...], way: str, native_only: bool) -> tf.Tensor:
    taps = kernel.shape[:-2]
    if max(rates) == 1:
        return tf.nn.convolution(x, kernel, padding="SAME")
    if not native_only and _few_outputs(x, kernel):
        products = _products(x, kernel)
        if way == "native":
            return _move_and_add(products, taps, rates)
        alone = (1,) * len(rates)
        return _on_deinterleaved_maps(products, taps, rates, lambda maps, _: _move_and_add(maps, taps, alone))
    if way == "native":
        return (tf.nn.conv2d if x.shape.rank == 4 else tf.nn.conv1d)(x, kernel, 1, "SAME", dilations=list(rates))
    return _on_deinterleaved_maps(x, taps, rates, lambda maps, padding: tf.nn.convolution(maps, kernel, padding=padding))


def _on_deinterleaved_maps(
    x: tf.Tensor, taps, rates: tuple[int, ...], convolve: Callable[[tf.Tensor, str], tf.Tensor]
) -> tf.Tensor:
    """Subsamples and deinterleaves x by the rates, convolves the small maps, interleaves the results."""
    # Maps of an odd kernel pad themselves by (k-1)/2 each, which spares padding the whole map by the dilated kernel.
    odd = all(size % 2 for size in taps)
    paddings = [(0, 0) if odd else pads for pads in map(same_padding, taps, rates)]
    extent = tf.shape(x)[1:-1]
    before = np.array([pad[0] for pad in paddings])
    after = np.array([pad[1] for pad in paddings])
    to_multiple = -(extent + before + after) % np.array(rates, np.int32)
    maps = tf.space_to_batch(x, rates, tf.stack([tf.constant(before, tf.int32), after + to_multiple], axis=1))
    maps = convolve(maps, "SAME" if odd else "VALID")
    # What is too many is the padding up to a multiple of the rate: (k-1) r fewer rows already left with VALID.
    crops = tf.stack([tf.zeros_like(to_multiple), to_multiple], axis=1)
    y = tf.batch_to_space(maps, rates, crops)
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
    *taps, inputs, outputs = kernel.shape
    if math.prod(taps) > 1:
        kernel = tf.transpose(kernel, [len(taps), *range(len(taps)), len(taps) + 1])
    # Not tensordot, which makes fifteen operations more of it where the map's size is open: a third of a ResNet's tracing.
    y = tf.reshape(x, [-1, inputs]) @ tf.reshape(kernel, [inputs, -1])
    size = tf.shape(x)[:-1] if None in x.shape else x.shape[:-1]
    y = tf.reshape(y, tf.concat([size, y.shape[1:]], axis=0))
    return tf.ensure_shape(y, x.shape[:-1].concatenate(y.shape[-1]))


def _move_and_add(products: tf.Tensor, taps, rates: tuple[int, ...]) -> tf.Tensor:
    """`y[i] = sum_k p_k[i + r k]`, zero outside: what is left of the convolution after `_products`."""
    padding = [(0, 0), *map(same_padding, taps, rates), (0, 0)]
    parts = tf.split(products, math.prod(taps), axis=-1)
    size = tf.concat([[-1], tf.shape(products)[1:-1], [-1]], axis=0)
    moved = [
        tf.slice(tf.pad(part, padding), [0, *(rate * k for rate, k in zip(rates, tap, strict=True)), 0], size)
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
        kernel_size: int | Sequence[int],
        rate: int | Sequence[int] = 1,
        method: str = "space_to_batch",
        *,
        padding: str = "same",
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = self._whole("filters", filters)
        self.kernel_size = self._whole("kernel_size", kernel_size, self.dims)
        self.rate = self._whole("rate", rate, self.dims)
        self.method, self.padding = self._one_of("method", method, METHODS), self._one_of("padding", padding, ("same", "valid"))
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(ndim=self.dims + 2)

    def _whole(self, name: str, value, axes: int = 1) -> int | tuple[int, ...]:
        """A whole number from 1, or one for each of several axes; equal ones are one."""
        numbers_ = tuple(value) if isinstance(value, Sequence) and axes > 1 and len(value) == axes else (value,)
        if not all(isinstance(number, int | np.integer) and number >= 1 for number in numbers_):
            several = f", or {axes} of them" if axes > 1 else ""
            raise ValueError(f"{type(self).__name__} {name}: got {value!r}, expected a whole number from 1{several}.")
        return int(numbers_[0]) if len(set(numbers_)) == 1 else tuple(map(int, numbers_))

    def _one_of(self, name: str, value, known: Sequence[str]) -> str:
        if value not in known:
            raise ValueError(f"{type(self).__name__} {name}: got {value!r}, expected one of {', '.join(known)}.")
        return value

    def build(self, input_shape):
        self.input_spec = keras.layers.InputSpec(ndim=self.dims + 2, axes={-1: input_shape[-1]})
        self.kernel = self.add_weight(
            name="kernel", shape=(*per_axis(self.kernel_size, self.dims), input_shape[-1], self.filters),
            initializer=self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer=self.bias_initializer, regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )  # fmt: skip

    def call(self, x):
        x = tf.convert_to_tensor(x)
        y = atrous_conv(x, tf.cast(self.kernel, x.dtype), self.rate, self.method, self.padding)
        if self.use_bias:
            y = tf.nn.bias_add(y, tf.cast(self.bias, x.dtype))
        return self.activation(y)

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        if self.padding == "valid":
            axes = zip(per_axis(self.kernel_size, self.dims), per_axis(self.rate, self.dims), strict=True)
            lost = [(size - 1) * rate for size, rate in axes]
            sizes = [n if n is None else n - less for n, less in zip(sizes, lost, strict=True)]
            if any(n is not None and n < 1 for n in sizes):
                raise ValueError(
                    f"{self.name}: got a map of {tuple(input_shape[1:-1])}, expected more than {tuple(lost)} for valid padding."
                )
        return (batch, *sizes, self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "rate": self.rate,
            "method": self.method,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


@keras.saving.register_keras_serializable(package="deeplab_tf")
class AtrousConv1D(_AtrousConv):
    """1-D atrous convolution, stride 1: [batch, length, channels] -> [batch, length, filters].

    Args:
      filters: output channels.
      kernel_size: taps of the kernel; they span `(kernel_size - 1) * rate + 1` samples.
      rate: distance between two taps, 1 for an ordinary convolution.
      method: "space_to_batch" (the paper's), "native" (the kernel's own dilation) or "auto" (the faster one that
        can train on this device). All give the same numbers.
      padding: "same" keeps the length (TensorFlow's SAME); "valid" leaves out where the kernel does not lie on the map,
        `(kernel_size - 1) * rate` positions.
      activation, use_bias, initializers, regularizers, constraints: as in `keras.layers.Conv1D`.

    Raises:
      ValueError: a size that is not a whole number from 1, an unknown method or padding, or a map too small for "valid".
      InvalidArgumentError: the latter, where the map's size is only known when it comes.
    """

    dims = 1


@keras.saving.register_keras_serializable(package="deeplab_tf")
class AtrousConv2D(_AtrousConv):
    """2-D atrous convolution, stride 1: [batch, height, width, channels] -> [batch, height, width, filters].

    Args and Raises: as `AtrousConv1D`; the kernel is HWIO; `kernel_size` and `rate` are one number, or two for rows and
    columns.
    """

    dims = 2
