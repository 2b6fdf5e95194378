"""The published augmentation on (image, label) pairs: scale - pad - random crop - mirror (paper, section 4).

Every function is pure: the random numbers come in as `draws`, so the same step gives the same bytes.
"""

from __future__ import annotations

import tensorflow as tf

# RGB mean of the ImageNet pictures the published nets were trained on; what "no picture" looks like to them.
MEAN_PIXEL = (122.675, 116.669, 104.008)
IGNORE_LABEL = 255
NUM_DRAWS = 4


def draw(seed: tf.Tensor | int, position: tf.Tensor) -> tf.Tensor:
    """The random numbers of the sample at `position` (0-based, counted over the whole run): float32 [4] in [0, 1)."""
    return tf.random.stateless_uniform(
        [NUM_DRAWS], seed=tf.stack([tf.cast(seed, tf.int64), tf.cast(position, tf.int64)])
    )


def augment(image, label, draws, *, crop_size: int, scales=(1.0,), scale_range=None, mirror: bool = True):
    """One training crop.

    Args:
      image: uint8 [height, width, 3], RGB.
      label: uint8 [height, width], train ids, 255 void.
      draws: float32 [4] in [0, 1): scale, row, column, mirror (see `draw`).
      crop_size: side of the crop in pixels.
      scales: the scales to choose from; the published set is (0.5, 0.75, 1, 1.25, 1.5).
      scale_range: (low, high) to draw the scale from evenly, instead of `scales`.
      mirror: whether half of the crops are mirrored.

    Returns:
      float32 [crop_size, crop_size, 3] in 0..255, padded with the mean pixel, and uint8 [crop_size, crop_size], padded
      with 255.
    """
    if scale_range is not None or tuple(scales) != (1.0,):
        image, label = resize(image, label, pick_scale(draws[0], scales, scale_range))
    image, label = crop(image, label, draws[1], draws[2], crop_size)
    image, label = pad(image, label, crop_size)
    if mirror:
        image, label = flip(image, label, draws[3] < 0.5)
    image.set_shape([crop_size, crop_size, 3])
    label.set_shape([crop_size, crop_size])
    return image, label


def pick_scale(draw, scales=(1.0,), scale_range=None):
    """The scale a draw in [0, 1) stands for."""
    if scale_range is not None:
        low, high = scale_range
        return low + (high - low) * draw
    return tf.gather(tf.constant(scales, tf.float32), tf.cast(draw * len(scales), tf.int32))


def resize(image, label, scale):
    """Both by `scale`: the image bilinear, the label by nearest neighbour, half-pixel centres (as cv2 resizes)."""
    size = tf.shape(label)
    new_size = tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32), 1)

    def resized():
        nearest = tf.image.resize(label[..., None], new_size, "nearest")[..., 0]
        return tf.image.resize(image, new_size, "bilinear"), nearest

    return tf.cond(tf.reduce_all(new_size == size), lambda: (tf.cast(image, tf.float32), label), resized)


def crop(image, label, row_draw, column_draw, crop_size: int):
    """At most crop_size x crop_size of both, at a place the draws choose; smaller sides stay whole."""
    height, width = tf.unstack(tf.shape(label))
    top = _offset(row_draw, height, crop_size)
    left = _offset(column_draw, width, crop_size)
    image = image[top : top + crop_size, left : left + crop_size]
    return image, label[top : top + crop_size, left : left + crop_size]


def _offset(draw, size, crop_size):
    places = tf.maximum(size - crop_size, 0) + 1
    return tf.cast(draw * tf.cast(places, tf.float32), tf.int32)


def pad(image, label, crop_size: int):
    """At least crop_size x crop_size: bottom and right filled with the mean pixel and 255. Image comes out float32."""
    image = tf.cast(image, tf.float32)
    missing = tf.maximum(crop_size - tf.shape(label), 0)

    def padded():
        height, width = tf.unstack(tf.shape(label))
        right = tf.broadcast_to(tf.constant(MEAN_PIXEL), [height, missing[1], 3])
        below = tf.broadcast_to(tf.constant(MEAN_PIXEL), [missing[0], width + missing[1], 3])
        paddings = tf.stack([tf.zeros_like(missing), missing], axis=1)
        bigger = tf.concat([tf.concat([image, right], axis=1), below], axis=0)
        return bigger, tf.pad(label, paddings, constant_values=IGNORE_LABEL)

    return tf.cond(tf.reduce_any(missing > 0), padded, lambda: (image, label))


def flip(image, label, mirrored):
    """Both mirrored left to right where `mirrored` holds."""
    return tf.cond(mirrored, lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])), lambda: (image, label))
