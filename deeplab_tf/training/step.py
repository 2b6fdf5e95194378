"""One step of the solver: losses, gradients averaged over iter_size micro-batches, update."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.losses import multi_scale_losses
from deeplab_tf.training.solver import decay_loss


def model_losses(model, images, labels, *, ignore_label: int, class_weights: Sequence[float] | None) -> list[tf.Tensor]:
    """The losses of one micro-batch: one, or under MSC one for each scale and one for the fused logits."""
    if isinstance(model, MultiScale):
        outputs, scales = model(images, training=True, return_all=True), model.scales
    else:
        logits = model(images, training=True)
        outputs, scales = [logits, logits], (1.0,)
    return multi_scale_losses(labels, outputs, scales, ignore_label=ignore_label, class_weights=class_weights)


def make_step(
    model,
    optimizer,
    *,
    iter_size: int = 1,
    ignore_label: int = 255,
    class_weights: Sequence[float] | None = None,
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """Compiles a step for this model and optimizer.

    Returns:
      step(images float32 [iter_size * b, H, W, 3], labels [iter_size * b, H, W]) -> {"loss": mean data loss of the
      micro-batches, "losses": the same for each loss, "decay_loss": …}, float32; the update has been made.
    """
    variables = model.trainable_variables
    optimizer.build(variables)

    def gradients_of(images, labels):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            losses = model_losses(model, images, labels, ignore_label=ignore_label, class_weights=class_weights)
            total = tf.add_n(losses)
        return tape.gradient(total, [variable.value for variable in variables]), tf.stack(losses)

    def averaged(images, labels):
        """Caffe's iter_size: the mean of the micro-batches' gradients, each normalised by its own valid positions."""
        images = tf.reshape(images, [iter_size, -1, *images.shape[1:]])
        labels = tf.reshape(labels, [iter_size, -1, *labels.shape[1:]])
        gradients, losses = gradients_of(images[0], labels[0])

        def add(i, gradients, losses):
            more, more_losses = gradients_of(images[i], labels[i])
            return i + 1, [a + b for a, b in zip(gradients, more, strict=True)], losses + more_losses

        _, gradients, losses = tf.while_loop(
            lambda i, *_: i < iter_size, add, [tf.constant(1), gradients, losses], parallel_iterations=1
        )
        return [gradient / iter_size for gradient in gradients], losses / iter_size

    @tf.function
    def step(images, labels):
        gradients, losses = averaged(images, labels) if iter_size > 1 else gradients_of(images, labels)
        decay = decay_loss(variables, optimizer.decay)
        optimizer.apply(gradients, variables)
        return {"loss": tf.reduce_sum(losses), "losses": losses, "decay_loss": decay}

    return step
