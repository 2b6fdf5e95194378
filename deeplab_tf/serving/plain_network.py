"""A network without this package's layers: every convolution is one plain op, with its bias and its batch norm inside.

What converters to other formats read. They take a deinterleaved map (`space_to_batch`) or a dilated convolution whose bias
stands behind the split for something else than it is, and are silently wrong; a kernel with its own dilation they take right.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.layers.atrous import AtrousConv2D, per_axis, same_padding
from deeplab_tf.layers.conv_batch_norm import ConvBatchNorm
from deeplab_tf.layers.pooling import CaffeMaxPool2D


class PlainConv2D(keras.layers.Layer):
    """Convolution, bias, optional ReLU: [batch, height, width, in] -> [batch, (h-1)//strides+1, …, out], float32.

    Args:
      kernel: float32 [height, width, in, out].
      bias: float32 [out].
      strides: step in pixels, 1 where `rate` is not.
      rate: distance between two taps, one for rows and one for columns.
      relu: end with a ReLU.
    """

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, strides: int, rate: tuple[int, int], relu: bool, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.kernel, self.bias = np.asarray(kernel, np.float32), np.asarray(bias, np.float32)
        self.strides, self.rate, self.relu = strides, rate, relu

    @property
    def padding(self) -> list[tuple[int, int]]:
        """Zeros before and after, of rows and of columns."""
        return [same_padding(size, rate) for size, rate in zip(self.kernel.shape[:2], self.rate, strict=True)]

    def call(self, x):
        kernel, padding = tf.constant(self.kernel), "SAME"
        if self.strides > 1:  # SAME would put the odd zero behind
            x, padding = tf.pad(x, [(0, 0), *self.padding, (0, 0)]), "VALID"
        y = tf.nn.bias_add(tf.nn.conv2d(x, kernel, self.strides, padding, dilations=self.rate), tf.constant(self.bias))
        return tf.nn.relu(y) if self.relu else y

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        return (batch, *(None if n is None else (n - 1) // self.strides + 1 for n in sizes), self.kernel.shape[-1])


class PlainMaxPool2D(keras.layers.Layer):
    """`CaffeMaxPool2D` of a map that is nowhere below 0: zeros round it never win either.

    An 8-bit type has no room for the least float32 beside the map's own values.
    """

    def __init__(self, strides: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.strides = strides

    def call(self, x):
        edge = (1, self.strides)
        return tf.nn.max_pool2d(tf.pad(x, [(0, 0), edge, edge, (0, 0)]), 3, self.strides, "VALID")

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        return (batch, *(None if n is None else -(-(n - 1) // self.strides) + 1 for n in sizes), channels)


def plain_network(network: keras.Model) -> keras.Model:
    """The same network in float32 of plain ops, with its weights as constants.

    Args:
      network: a functional model, as `build_model` makes them.
    """
    return keras.models.clone_model(network, clone_function=_plain)


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, ConvBatchNorm):
        scale, shift = (value.numpy() for value in layer.statistics.scale_and_shift())
        kernel, rate = layer.kernel.numpy() * scale, (layer.rate, layer.rate)
        return PlainConv2D(kernel, shift, layer.strides, rate, layer.relu, name=layer.name)
    if isinstance(layer, AtrousConv2D) and layer.padding == "same" and _activation(layer) in ("relu", "linear"):
        bias = layer.bias.numpy() if layer.use_bias else np.zeros(layer.filters)
        relu = _activation(layer) == "relu"
        return PlainConv2D(layer.kernel.numpy(), bias, 1, per_axis(layer.rate, 2), relu, name=layer.name)
    if isinstance(layer, CaffeMaxPool2D) and layer.rate == 1 and _behind_relu(layer):
        return PlainMaxPool2D(layer.strides, name=layer.name)
    if layer.weights:
        return layer
    return type(layer).from_config(layer.get_config() | {"dtype": "float32"})


def _activation(layer: AtrousConv2D) -> str:
    return keras.activations.serialize(layer.activation)


def _behind_relu(layer: CaffeMaxPool2D) -> bool:
    source = layer.input._keras_history.operation
    return getattr(source, "relu", False) or (isinstance(source, AtrousConv2D) and _activation(source) == "relu")
