"""Dropout whose replicas draw masks of their own."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="deeplab_tf")
class Dropout(keras.layers.Dropout):
    """Keras' dropout; on replica i of a `tf.distribute` strategy the seed is moved by i.

    The replicas' random states move on alike, so without it all would drop the same units of their shares of a batch.
    """

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            seed += tf.stack([tf.cast(context.replica_id_in_sync_group, tf.int32), 0])
        return tf.nn.experimental.stateless_dropout(inputs, rate=self.rate, seed=seed, noise_shape=self.noise_shape)
