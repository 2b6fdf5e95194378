"""One step of the solver: losses, gradients averaged over iter_size micro-batches, update; on one replica or many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.losses import multi_scale_losses, subsample_labels
from deeplab_tf.training.recompute import recomputed
from deeplab_tf.training.solver import decay_loss


def model_outputs(model, images) -> tuple[list[tf.Tensor], tuple[float, ...]]:
    """The training outputs, the fused logits last, and the scales of the others."""
    if isinstance(model, MultiScale):
        return model(images, training=True, return_all=True), model.scales
    logits = model(images, training=True)
    return [logits, logits], (1.0,)


def make_step(
    model,
    optimizer,
    *,
    iter_size: int = 1,
    ignore_label: int = 255,
    ignore_classes: Sequence[int] = (),
    class_weights: Sequence[float] | None = None,
    recompute: bool = False,
    strategy: tf.distribute.Strategy | None = None,
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """Compiles a step for this model and optimizer.

    Args:
      model: a network of the zoo or a MultiScale.
      optimizer: made, as the model, under the strategy.
      iter_size: micro-batches a step, Caffe's: the mean of their gradients, each normalised by its own valid positions.
      ignore_label: value of void.
      ignore_classes: train ids that count as void.
      class_weights: see `segmentation_loss`.
      recompute: see `deeplab_tf.training.recompute`.
      strategy: whose replicas share every micro-batch; its loss is normalised over the whole micro-batch.

    Returns:
      step(images float32 [iter_size * b, H, W, 3], labels [iter_size * b, H, W]) -> {"loss": mean data loss of the
      micro-batches, "losses": the same for each loss, "decay_loss": …, "predicted", "labelled": int32 [classes], valid
      positions by predicted and by true class}; the update has been made. Under a strategy, images and labels are its
      replicas' (`strategies.Devices.scatter`).
    """
    variables = model.trainable_variables
    network = recomputed(model) if recompute else model
    strategy = strategy or tf.distribute.get_strategy()
    # Replicas that share statistics meet in the middle of a micro-batch, which they cannot in a loop of TensorFlow's.
    collective = strategy.num_replicas_in_sync > 1 and any(v.path.endswith("/gamma") for v in variables)
    with strategy.scope():
        optimizer.build(variables)

    def gradients_of(images, labels, all_labels):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            outputs, scales = model_outputs(network, images)
            losses = multi_scale_losses(
                labels, outputs, scales, ignore_label=ignore_label, class_weights=class_weights, counted_labels=all_labels
            )
            total = tf.add_n(losses)
        counts = _class_counts(labels, outputs[-1], ignore_label)
        return tape.gradient(total, [variable.value for variable in variables]), tf.stack(losses), counts

    def averaged(images, labels, all_labels):
        total = gradients_of(images[0], labels[0], all_labels[0])
        if iter_size == 1:
            return total

        def add(i, gradients, losses, counts):
            more, more_losses, more_counts = gradients_of(images[i], labels[i], all_labels[i])
            gradients = [a + b for a, b in zip(gradients, more, strict=True)]
            return i + 1, gradients, losses + more_losses, counts + more_counts

        if collective:
            for i in range(1, iter_size):
                with tf.control_dependencies(total[0]):  # one after the other, as their activations would not fit together
                    total = add(i, *total)[1:]
        else:
            total = tf.while_loop(lambda i, *_: i < iter_size, add, [tf.constant(1), *total], parallel_iterations=1)[1:]
        gradients, losses, counts = total
        return [gradient / iter_size for gradient in gradients], losses / iter_size, counts

    def replica_step(images, labels):
        images = tf.reshape(images, [iter_size, -1, *images.shape[1:]])
        labels = tf.cast(tf.reshape(labels, [iter_size, -1, *labels.shape[1:]]), tf.int32)
        for ignored in ignore_classes:
            labels = tf.where(labels == ignored, ignore_label, labels)
        all_labels = labels
        if strategy.num_replicas_in_sync > 1:  # gathered here: there is no collective inside the loop
            all_labels = tf.distribute.get_replica_context().all_gather(labels, axis=1)
        gradients, losses, counts = averaged(images, labels, all_labels)
        decay = decay_loss(variables, optimizer.decay)
        optimizer.apply(gradients, variables)  # adds up the replicas' gradients
        return losses, counts, decay

    @tf.function(autograph=False)  # no branch of it depends on a tensor, and looking for one takes a second of every start
    def step(images, labels):
        losses, counts, decay = strategy.run(replica_step, (images, labels))
        losses, counts = (strategy.reduce("SUM", value, axis=None) for value in (losses, counts))
        return {
            "loss": tf.reduce_sum(losses), "losses": losses, "decay_loss": strategy.reduce("MEAN", decay, axis=None),
            "predicted": counts[0], "labelled": counts[1],
        }  # fmt: skip

    return step


def _class_counts(labels, logits, ignore_label) -> tf.Tensor:
    """int32 [2, classes]: valid positions by predicted and by true class."""
    labels, classes = subsample_labels(labels, tf.shape(logits)[1:3]), logits.shape[-1]
    valid = labels != ignore_label
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.stack(
        [tf.math.bincount(tf.boolean_mask(ids, valid), minlength=classes, maxlength=classes) for ids in (predicted, labels)]
    )
