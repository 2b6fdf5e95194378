"""The published loss: softmax cross entropy at the score map's stride, void left out (section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from deeplab_tf.layers.replicas import over_replicas, replicas
from deeplab_tf.layers.resize import resize_align_corners
from deeplab_tf.training.label_map import label_map

IGNORE_LABEL = 255


@keras.saving.register_keras_serializable(package="deeplab_tf")
def segmentation_loss(
    labels: tf.Tensor,
    logits: tf.Tensor,
    *,
    ignore_label: int | None = IGNORE_LABEL,
    class_weights: Sequence[float] | None = None,
    counted_labels: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mean cross entropy over the positions that are not ignored, at least one (Caffe's VALID normalisation).

    The paper writes a sum; the published solver takes this mean over a micro-batch.

    Given to `model.compile` it is the same under a `tf.distribute` strategy: the replicas' losses add up to the loss of one
    device that sees the whole batch. `SegmentationLoss` takes weights of pictures and other settings besides.

    Args:
      labels: int [batch, H, W], class ids or `ignore_label`; sub-sampled to the logits by a whole step.
      logits: float [batch, h, w, classes] with `(H - 1) / (h - 1)` a whole number: 321 -> 41 is `label[::8, ::8]`.
      ignore_label: value of void; None counts every position.
      class_weights: one factor a class on the loss of its positions; the divisor stays the number of positions.
      counted_labels: the labels whose valid positions are the divisor, where they are known: those of the whole micro-batch on
        a replica that sees a part of it. Otherwise the replicas add up their numbers of positions.

    Returns:
      float32 scalar.

    Raises:
      ValueError: more or fewer weights than classes.
    """
    losses, positions = _position_losses(labels, logits, ignore_label, class_weights, counted_labels)
    return tf.reduce_sum(losses) / positions


@keras.saving.register_keras_serializable(package="deeplab_tf")
class SegmentationLoss(keras.losses.Loss):
    """`segmentation_loss` as Keras' own losses are: `model.compile(loss=SegmentationLoss(ignore_label=255))`.

    Labels [batch, H, W] or [batch, H, W, 1], logits [batch, h, w, classes]. The loss of a picture is scaled so that the mean
    over the batch, which Keras takes, is the published mean over its positions.

    Args:
      ignore_label, class_weights: as `segmentation_loss`.
      name, reduction, dtype: as in `keras.losses.Loss`.

    Raises:
      ValueError: one-hot labels, or more or fewer weights than classes.
    """

    def __init__(
        self,
        ignore_label=IGNORE_LABEL,
        class_weights=None,
        *,
        name="segmentation_loss",
        reduction="sum_over_batch_size",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.ignore_label, self.class_weights = ignore_label, None if class_weights is None else tuple(class_weights)

    def call(self, labels, logits):
        labels = label_map(labels, self.name)
        losses, positions = _position_losses(labels, logits, self.ignore_label, self.class_weights)
        # Keras divides by the pictures of this replica and by the number of replicas.
        shares = tf.cast(tf.shape(losses)[0] * replicas(), tf.float32) / positions
        return tf.reduce_sum(losses, axis=[1, 2]) * shares

    def get_config(self):
        return super().get_config() | {
            "ignore_label": self.ignore_label, "class_weights": self.class_weights, "dtype": self.dtype,
        }  # fmt: skip


def _position_losses(labels, logits, ignore_label, class_weights, counted_labels=None) -> tuple[tf.Tensor, tf.Tensor]:
    """Weighted loss of every position, float32 [batch, h, w], 0 where it is ignored; and the number to divide by."""
    if class_weights is not None and logits.shape[-1] not in (None, len(class_weights)):
        raise ValueError(
            f"class_weights: got {len(class_weights)} for logits of {logits.shape[-1]} classes, expected one a class; give as "
            "many as the network has classes."
        )
    size = tf.shape(logits)[1:3]
    counted = _counted(subsample_labels(labels if counted_labels is None else counted_labels, size), ignore_label)
    positions = tf.reduce_sum(tf.cast(counted, tf.float32))
    if counted_labels is None:
        positions = over_replicas("SUM", positions)
    labels = tf.cast(subsample_labels(labels, size), tf.int32)
    valid = _counted(labels, ignore_label)
    targets = tf.where(valid, labels, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.cast(logits, tf.float32))
    weights = tf.cast(valid, tf.float32)
    if class_weights is not None:
        weights *= tf.gather(tf.constant(class_weights, tf.float32), targets)
    return tf.ensure_shape(losses * weights, logits.shape[:3]), tf.maximum(positions, 1.0)


def _counted(labels, ignore_label) -> tf.Tensor:
    """Where labels are not void, bool as `labels`."""
    # A tensor's `!= None` is one True, not one a position.
    return tf.ones_like(labels, tf.bool) if ignore_label is None else labels != ignore_label


def subsample_labels(labels: tf.Tensor, size) -> tf.Tensor:
    """Every step-th label, [batch, H, W] -> [batch, *size]. Label ids are never interpolated.

    Raises:
      InvalidArgumentError: (H - 1) / (h - 1) is not the same whole number for both sides.
    """
    last, last_small = tf.shape(labels)[1:3] - 1, tf.convert_to_tensor(size) - 1
    step = tf.maximum(last[0] // tf.maximum(last_small[0], 1), 1)
    tf.debugging.assert_equal(
        last, step * last_small, "labels do not sub-sample to the logits by a whole step: take crops of 8n+1"
    )
    return labels[:, ::step, ::step]


def multi_scale_losses(labels: tf.Tensor, outputs: Sequence[tf.Tensor], scales: Sequence[float], **options) -> list:
    """The published losses of MSC, one for each scale's own logits and one for the fused ones, each of weight 1.

    A scale's logits meet the labels raw where the labels sub-sample to them by a whole step (scale 1/2: 21 x 21
    against `labels[::16, ::16]`), else up-sampled to the fused size (scale 3/4).

    Args:
      labels: int [batch, H, W].
      outputs: `MultiScale(…)(picture, return_all=True)`.
      scales: the scales of `outputs[:-1]`.
      options: as `segmentation_loss`.
    """
    fused = outputs[-1]
    losses = []
    for logits, scale in zip(outputs[:-1], scales, strict=True):
        if not (1 / scale).is_integer():
            logits = resize_align_corners(logits, tf.unstack(tf.shape(fused)[1:3]))
        losses.append(segmentation_loss(labels, logits, **options))
    if len(scales) == 1:
        return losses  # one scale: its logits are the fused ones
    return [*losses, segmentation_loss(labels, fused, **options)]
