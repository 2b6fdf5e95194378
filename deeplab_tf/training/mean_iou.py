"""Mean IoU as a Keras metric, for `model.compile`."""

from __future__ import annotations

import keras
import tensorflow as tf

from deeplab_tf.layers.resize import resize_align_corners
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.training.label_map import label_map


@keras.saving.register_keras_serializable(package="deeplab_tf")
class MeanIoU(keras.metrics.Metric):
    """Mean IoU over all pictures since the last reset, void left out; `ConfusionMatrix.mean_iou` of the same pixels.

    Labels int [batch, H, W] or [batch, H, W, 1] meet logits (or probabilities) [batch, h, w, classes] at any stride: these
    are up-sampled with aligned corners to the labels, then the largest one is taken, as `segment` does at sizes of 8n+1.
    Sample weights are refused: a confusion matrix counts pixels.

    Args:
      num_classes: channels of the logits.
      ignore_label: value of void; None counts every pixel.

    Raises:
      ValueError: sample weights, one-hot labels, or logits of more or fewer channels.
    """

    def __init__(self, num_classes: int, ignore_label: int | None = 255, name: str = "mean_iou", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes, self.ignore_label = num_classes, ignore_label
        # Whole numbers, as float32 would miscount from 16 million pixels on.
        self.counts = self.add_variable((num_classes, num_classes), "zeros", dtype="int64", name="counts")

    def update_state(self, labels, logits, sample_weight=None):
        """Adds the pixels of a batch."""
        if sample_weight is not None:
            raise ValueError(f"{self.name}: got sample weights, expected none; give the metric under `metrics`, not weighted.")
        if logits.shape[-1] not in (None, self.num_classes):
            raise ValueError(
                f"{self.name}: got logits of {logits.shape[-1]} channels, expected {self.num_classes}; give the metric the "
                "network's number of classes."
            )
        labels = tf.cast(label_map(labels, self.name), tf.int64)
        logits = resize_align_corners(tf.cast(logits, tf.float32), tf.unstack(tf.shape(labels)[1:3]))
        predicted = tf.argmax(logits, axis=-1)
        if self.ignore_label is not None:
            valid = labels != self.ignore_label
            labels, predicted = tf.boolean_mask(labels, valid), tf.boolean_mask(predicted, valid)
        size, wrong = self.num_classes**2, f"{self.name}: a label is neither a class nor void"
        checks = [
            tf.debugging.assert_non_negative(labels, wrong),
            tf.debugging.assert_less(labels, tf.cast(self.num_classes, tf.int64), wrong),
        ]
        with tf.control_dependencies(checks):
            pairs = tf.cast(tf.reshape(labels * self.num_classes + predicted, [-1]), tf.int32)
        found = tf.math.bincount(pairs, minlength=size, maxlength=size, dtype=tf.int64)
        self.counts.assign_add(tf.reshape(found, [self.num_classes, self.num_classes]))

    def result(self):
        """float32 scalar, 0..1; classes that are neither labelled nor predicted are left out, NaN when nothing was counted."""
        counts = tf.cast(self.counts, tf.float64)
        hits = tf.linalg.diag_part(counts)
        union = tf.reduce_sum(counts, 0) + tf.reduce_sum(counts, 1) - hits
        there = tf.cast(union > 0, tf.float64)
        return tf.cast(tf.reduce_sum(tf.math.divide_no_nan(hits, union)) / tf.reduce_sum(there), tf.float32)

    def confusion_matrix(self) -> ConfusionMatrix:
        """What was counted, for the other figures."""
        return ConfusionMatrix.from_matrix(self.counts.numpy(), self.ignore_label)

    def get_config(self):
        return super().get_config() | {"num_classes": self.num_classes, "ignore_label": self.ignore_label}
