"""Max pooling with Caffe's geometry: symmetric padding that never wins, output size rounded up."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="deeplab_tf")
class CaffeMaxPool2D(keras.layers.Layer):
    """Max over 3x3 windows: [batch, height, width, channels] -> [batch, ceil((n - 1) / strides) + 1, …, channels].

    Args:
      strides: step between two windows in pixels.
      rate: distance between two taps of a window; above 1 only at stride 1, for the exact dense twin of a
        strided net.
    """

    def __init__(self, strides: int, rate: int = 1, **kwargs):
        super().__init__(**kwargs)
        if strides not in (1, 2) or (rate > 1 and strides > 1):
            raise ValueError(f"CaffeMaxPool2D: got stride {strides}, rate {rate}, expected stride 2, or 1 with any rate.")
        self.strides, self.rate = strides, rate

    def call(self, x):
        if self.rate > 1:
            return _max_of_nine(x, self.rate)
        # One pixel before and `strides` after: the last window is there where Caffe's ceil mode has it, at odd and at
        # even sizes. Padded beforehand: the pool's own explicit padding has a gradient six times slower, and none in XLA.
        edge = [1, self.strides]
        padded = tf.pad(x, [[0, 0], edge, edge, [0, 0]], constant_values=x.dtype.min)
        return tf.nn.max_pool2d(padded, 3, self.strides, "VALID")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, self._size(height), self._size(width), channels)

    def _size(self, n):
        return None if n is None else -(-(n - 1) // self.strides) + 1

    def get_config(self):
        return super().get_config() | {"strides": self.strides, "rate": self.rate}


def _max_of_nine(x: tf.Tensor, rate: int) -> tf.Tensor:
    """A dilated 3x3 max pool, separable: first over rows, then over columns."""
    for axis in (1, 2):
        size = tf.shape(x)[axis]
        padding = [[0, 0] if i != axis else [rate, rate] for i in range(4)]
        padded = tf.pad(x, padding, constant_values=x.dtype.min)
        shifted = [_slice(padded, axis, offset, size) for offset in (0, rate, 2 * rate)]
        x = tf.ensure_shape(tf.maximum(tf.maximum(shifted[0], shifted[1]), shifted[2]), x.shape)
    return x


def _slice(x, axis, start, size):
    return x[:, start : start + size] if axis == 1 else x[:, :, start : start + size]
