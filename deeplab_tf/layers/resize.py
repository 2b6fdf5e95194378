"""Caffe's Interp layer: bilinear, corner pixels aligned. No resize of `tf.image` or Keras does this."""

from __future__ import annotations

import tensorflow as tf


def resize_align_corners(x: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Bilinear resize whose corner pixels stay corner pixels: output i reads `i * (in - 1) / (out - 1)`.

    Args:
      x: [batch, height, width, channels], any float type.
      size: (height, width) of the result, numbers or a tensor; 1 reads the first pixel.

    Returns:
      [batch, *size, channels], of the type of `x`; differentiable.

    Raises:
      ValueError: `x` has not four dimensions.
    """
    x = tf.convert_to_tensor(x)
    if x.shape.rank != 4:
        raise ValueError(f"resize_align_corners x: got shape {x.shape}, expected [batch, height, width, channels].")
    y = tf.raw_ops.ResizeBilinear(images=x, size=tf.cast(tf.stack(size), tf.int32), align_corners=True)
    return tf.cast(y, x.dtype)
