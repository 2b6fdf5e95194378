"""The published nets' input: BGR minus the mean pixel, unscaled."""

from __future__ import annotations

import keras
import tensorflow as tf

from deeplab_tf.published import MEAN_RGB

"""Mean pixel of the training pictures in the published prototxts, in RGB order; also what pictures are padded with."""


@keras.saving.register_keras_serializable(package="deeplab_tf")
class SubtractMean(keras.layers.Layer):
    """RGB [batch, height, width, 3] in 0..255 -> BGR minus the mean pixel, in the layer's compute type."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False  # bfloat16 has 8 bits: subtract before rounding

    def call(self, x):
        x = tf.cast(x, tf.float32) - tf.constant(MEAN_RGB)
        return tf.cast(tf.reverse(x, axis=[-1]), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config()  # Keras' own automatic one takes no dtype policy
