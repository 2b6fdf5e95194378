"""Convolution and batch normalisation as one layer, folded into one convolution while the batch norm is frozen.

Frozen batch norm is a fixed scale and shift a channel, so `bn(conv(x, w)) = conv(x, w * scale) + shift` exactly, in
training as in inference; TensorFlow then fuses convolution, bias and ReLU.
"""

from __future__ import annotations

import functools
import logging

import keras
import tensorflow as tf

from deeplab_tf.layers.atrous import conv2d
from deeplab_tf.layers.replicas import over_replicas, replicas
from deeplab_tf.published import BATCH_NORM_EPSILON

SMALL_BATCH = 16  # fewer pictures than this are too few to normalise by
_log = logging.getLogger(__name__)


@keras.saving.register_keras_serializable(package="deeplab_tf")
class BatchNormStatistics(keras.layers.Layer):
    """Holds gamma, beta, moving_mean and moving_variance under the published layer's name."""

    def __init__(self, channels: int, frozen: bool = True, momentum: float = 0.99, **kwargs):
        super().__init__(**kwargs)
        self.channels, self.frozen, self.momentum = channels, frozen, momentum

    def build(self, input_shape=None):
        def weight(name, value, trainable):  # the replicas move the statistics alike
            return self.add_weight(
                name=name,
                shape=(self.channels,),
                initializer=value,
                trainable=trainable,
                dtype="float32",
                autocast=False,
                aggregation="mean",
            )

        self.gamma = weight("gamma", "ones", not self.frozen)
        self.beta = weight("beta", "zeros", not self.frozen)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)
        self.built = True

    def scale_and_shift(self) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 [channels] each: what the frozen normalisation multiplies by and adds."""
        variance = tf.convert_to_tensor(self.moving_variance)
        scale = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(variance + BATCH_NORM_EPSILON)
        return scale, self.beta - self.moving_mean * scale

    def normalize(self, y: tf.Tensor) -> tf.Tensor:
        """Normalises by the statistics of this batch (float32), of all replicas' shares of it, and moves the running ones."""
        if (y.shape[0] or SMALL_BATCH) * replicas() < SMALL_BATCH:
            _warn_of_small_batch(y.shape[0] * replicas())
        mean, variance = _moments(tf.cast(y, tf.float32))
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        normal = tf.nn.batch_normalization(tf.cast(y, tf.float32), mean, variance, self.beta, self.gamma, BATCH_NORM_EPSILON)
        return tf.cast(normal, y.dtype)

    def call(self, y):
        return self.normalize(y)

    def get_config(self):
        return super().get_config() | {"channels": self.channels, "frozen": self.frozen, "momentum": self.momentum}


def _moments(y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of every channel; of the whole batch where replicas have equal shares of it."""
    if replicas() == 1:
        return tf.nn.moments(y, axes=[0, 1, 2])
    mean = over_replicas("MEAN", tf.reduce_mean(y, axis=[0, 1, 2]))
    return mean, over_replicas("MEAN", tf.reduce_mean(tf.math.squared_difference(y, mean), axis=[0, 1, 2]))


@functools.cache  # once, not for every layer
def _warn_of_small_batch(batch: int) -> None:
    _log.warning(
        "batch norm is trained in batches of %d: fewer than %d pictures make poor statistics; keep it frozen",
        batch,
        SMALL_BATCH,
    )


@keras.saving.register_keras_serializable(package="deeplab_tf")
class ConvBatchNorm(keras.layers.Layer):
    """Biasless convolution, batch normalisation, optional ReLU: [batch, height, width, in] -> [batch, h, w, filters].

    Args:
      filters: output channels.
      kernel_size: side of the kernel, odd.
      batch_norm: name of the batch norm; its weights are `<batch_norm>/gamma`, `…/beta`, `…/moving_mean` and
        `…/moving_variance`.
      strides: step in pixels; padding is `(kernel_size - 1) / 2` on every side.
      rate: atrous rate, 1 where `strides` is not.
      method: see `AtrousConv2D`.
      relu: end with a ReLU.
      frozen: keep statistics, gamma and beta fixed and fold them into the kernel. Otherwise training normalises by
        the batch and trains gamma and beta, unless the layer is not `trainable`, as with Keras' own batch norm.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        batch_norm: str,
        *,
        strides: int = 1,
        rate: int = 1,
        method: str = "space_to_batch",
        relu: bool = True,
        frozen: bool = True,
        kernel_initializer="he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.batch_norm = filters, kernel_size, batch_norm
        self.strides, self.rate, self.method, self.relu, self.frozen = strides, rate, method, relu, frozen
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.statistics = BatchNormStatistics(filters, frozen, name=batch_norm, dtype=self.dtype_policy)

    def build(self, input_shape):
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        # autocast off: the product with the scale is taken in float32 and rounded once.
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer, autocast=False)
        self.statistics.build()
        self.built = True

    def call(self, x, training=False):
        x = tf.convert_to_tensor(x)
        kernel = tf.convert_to_tensor(self.kernel)
        if self.frozen or not training or not self.statistics.trainable:
            scale, shift = self.statistics.scale_and_shift()
            y = self._conv(x, kernel * scale)
            y = tf.nn.bias_add(y, tf.cast(shift, x.dtype))
        else:
            y = self.statistics.normalize(self._conv(x, kernel))
        return tf.nn.relu(y) if self.relu else y

    def _conv(self, x, kernel):
        return conv2d(x, tf.cast(kernel, x.dtype), self.strides, self.rate, self.method)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        sizes = [None if n is None else (n - 1) // self.strides + 1 for n in (height, width)]
        return (batch, *sizes, self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "batch_norm": self.batch_norm,
            "strides": self.strides,
            "rate": self.rate,
            "method": self.method,
            "relu": self.relu,
            "frozen": self.frozen,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
