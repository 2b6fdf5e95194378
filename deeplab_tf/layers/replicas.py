"""What the replicas of a `tf.distribute` strategy know of each other in a step."""

from __future__ import annotations

import tensorflow as tf


def replicas() -> int:
    """How many share the batch where this runs: 1 outside of a replica's step."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def over_replicas(reduction: str, value: tf.Tensor) -> tf.Tensor:
    """The "SUM" or "MEAN" of every replica's `value`, with its gradient; the value itself where there is one replica."""
    if replicas() == 1:
        return value
    return tf.ensure_shape(tf.distribute.get_replica_context().all_reduce(reduction, value), value.shape)
