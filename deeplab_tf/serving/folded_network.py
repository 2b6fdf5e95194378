"""A network whose batch norms lie in the kernels for good, so that a SavedModel need not fold them anew at every request."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.layers.atrous import conv2d
from deeplab_tf.layers.conv_batch_norm import ConvBatchNorm


class FoldedConv2D(keras.layers.Layer):
    """A `ConvBatchNorm` that is no longer trained: [batch, height, width, in] -> [batch, h, w, filters], the same bits.

    Args:
      source: the layer; its kernel times the scale, and the shift, are this one's weights, in the type it computes in.
    """

    def __init__(self, source: ConvBatchNorm):
        super().__init__(name=source.name, dtype=source.dtype_policy, trainable=False)
        self.strides, self.rate, self.method, self.relu = source.strides, source.rate, source.method, source.relu
        scale, shift = source.statistics.scale_and_shift()
        self.kernel = self._fixed("kernel", tf.convert_to_tensor(source.kernel) * scale)
        self.bias = self._fixed("bias", shift)

    def _fixed(self, name: str, value: tf.Tensor) -> keras.Variable:
        weight = self.add_weight(name=name, shape=value.shape, dtype=self.compute_dtype, initializer="zeros", autocast=False)
        weight.assign(tf.cast(value, self.compute_dtype))
        return weight

    def call(self, x):
        x = tf.convert_to_tensor(x)
        y = conv2d(x, tf.convert_to_tensor(self.kernel), self.strides, self.rate, self.method)
        y = tf.nn.bias_add(y, tf.convert_to_tensor(self.bias))
        return tf.nn.relu(y) if self.relu else y

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        return (batch, *(None if n is None else (n - 1) // self.strides + 1 for n in sizes), self.kernel.shape[-1])


def folded_network(network: keras.Model) -> keras.Model:
    """The same network with every batch norm folded into its convolution; the network itself where it has none.

    Args:
      network: a functional model, as `build_model` makes them.
    """
    if not any(isinstance(layer, ConvBatchNorm) for layer in network.layers):
        return network
    twin = keras.models.clone_model(network, clone_function=_folded)
    for layer in twin.layers:
        if layer.weights and not isinstance(layer, FoldedConv2D):
            layer.set_weights([np.array(weight) for weight in network.get_layer(layer.name).weights])
    return twin


def _folded(layer: keras.layers.Layer) -> keras.layers.Layer:
    return FoldedConv2D(layer) if isinstance(layer, ConvBatchNorm) else type(layer).from_config(layer.get_config())
