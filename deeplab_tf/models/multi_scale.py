"""Multi-scale processing (MSC, section 3.2): one network at several picture scales, fused by max of logits."""

from __future__ import annotations

import fractions
import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from deeplab_tf.layers.resize import resize_align_corners


@keras.saving.register_keras_serializable(package="deeplab_tf")
class MultiScale(keras.Model):
    """Runs `network` on the picture at every scale and fuses its logits by their per-position maximum.

    Pictures and logits are resized with aligned corners, so the published geometry needs sides of 32n+1 for scales
    0.5, 0.75 and 1 (321 -> 161, 241, 321 -> logits 21, 31, 41). Resizing the picture and then subtracting the mean
    equals resizing the mean-subtracted one.

    Args:
      network: a model RGB float32 [batch, height, width, 3] -> logits [batch, h, w, classes]; its weights serve
        all scales.
      scales: factors on the picture's sides; 1 must be among them unless there is only one.

    Raises:
      ValueError: no scale, a scale not above 0, or no scale 1 among several.
    """

    def __init__(self, network: keras.Model, scales: tuple[float, ...] = (0.5, 0.75, 1.0), **kwargs):
        super().__init__(**kwargs)
        scales = checked_scales(scales)
        self.network, self.scales = network, scales

    def call(self, picture, training=False, return_all=False):
        """[batch, height, width, 3] -> fused logits [batch, h, w, classes] at the size of scale 1.

        With `return_all`, a list: every scale's own logits in the order of `scales`, the fused ones last.
        """
        return at_scales(functools.partial(self.network, training=training), picture, self.scales, return_all)

    def get_config(self):
        return super().get_config() | {"network": keras.saving.serialize_keras_object(self.network), "scales": self.scales}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"network": keras.saving.deserialize_keras_object(config["network"])})


def checked_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """The scales as numbers; ValueError where there is none, one that is not positive, or no 1 among several."""
    scales = tuple(float(scale) for scale in scales)
    if not scales or min(scales) <= 0 or (len(scales) > 1 and 1.0 not in scales):
        raise ValueError(f"MultiScale scales: got {scales}, expected factors above 0 with 1 among them.")
    return scales


def at_scales(
    network: Callable[[tf.Tensor], tf.Tensor], picture: tf.Tensor, scales: tuple[float, ...], return_all: bool = False
) -> tf.Tensor | list[tf.Tensor]:
    """What `MultiScale` computes, of any function that turns pictures into logits."""
    height, width = tf.shape(picture)[1], tf.shape(picture)[2]
    own = []
    for scale in scales:
        scaled = picture
        if scale != 1.0:
            scaled = resize_align_corners(picture, (scaled_size(height, scale), scaled_size(width, scale)))
        own.append(network(scaled))
    target = own[scales.index(1.0) if 1.0 in scales else 0]
    fused = target
    for logits in own:
        if logits is not target:
            fused = tf.maximum(fused, resize_align_corners(logits, tf.unstack(tf.shape(target)[1:3])))
    return [*own, fused] if return_all else fused


def scaled_size(size: tf.Tensor, scale: float) -> tf.Tensor:
    """Caffe's shrink: `(n - 1) * s + 1`, floored, in whole numbers: exact, and there are machines without float64."""
    factor = scale_factor(scale)
    return (size - 1) * factor.numerator // factor.denominator + 1


def scale_factor(scale: float) -> fractions.Fraction:
    """The scale as the fraction that is meant: 0.3 is 3/10."""
    return fractions.Fraction(scale).limit_denominator(1000)
