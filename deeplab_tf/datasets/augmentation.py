"""The published augmentation on (image, label) pairs: scale - pad - random crop - mirror (paper, section 4).

Every function is pure: the random numbers come in as `draws`, so the same step gives the same bytes. The crop is chosen first
and only what it sees of the picture is decoded and scaled; that is the same crop, and several times less work.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets.label_tables import VOID
from deeplab_tf.published import MEAN_RGB

# RGB mean of the ImageNet pictures the published nets were trained on; what "no picture" looks like to them.
NUM_DRAWS = 4
_PHILOX = 1


class Window(NamedTuple):
    """What a crop sees; all int32 [2], height and width.

    Attributes:
      begin: first row and column of the picture as it is stored.
      extent: rows and columns of it.
      size: what they are scaled to, at most the crop; the rest of the crop is padding.
    """

    begin: tf.Tensor
    extent: tf.Tensor
    size: tf.Tensor


def draw(seed: int, position: tf.Tensor | int, count: int) -> tf.Tensor:
    """The random numbers of the samples at `position` (0-based, counted over the whole run) and after it.

    Returns:
      float32 [count, 4] in [0, 1). Every row depends on seed and its own position only: Philox counts in positions.
    """
    key = tf.bitcast(tf.constant([seed], tf.int64), tf.uint64)
    counter = tf.stack([tf.cast(position, tf.uint64), tf.constant(0, tf.uint64)])
    return tf.raw_ops.StatelessRandomUniformV2(shape=[count, NUM_DRAWS], key=key, counter=counter, alg=_PHILOX)


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
    window = choose_window(tf.shape(label), draws, crop_size=crop_size, scales=scales, scale_range=scale_range)
    return finish(cut(image, window), cut(label, window), window, draws, crop_size=crop_size, mirror=mirror)


def choose_window(size, draws, *, crop_size: int, scales=(1.0,), scale_range=None) -> Window:
    """The part of a picture of `size` (int32 [2]) that a crop of the scaled picture sees, to whole pixels."""
    scaled = size
    if scale_range is not None or tuple(scales) != (1.0,):
        scale = pick_scale(draws[0], scales, scale_range)
        scaled = tf.maximum(tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32), 1)
    seen = tf.minimum(scaled, crop_size)
    offset = tf.cast(draws[1:3] * tf.cast(scaled - seen + 1, tf.float32), tf.int32)
    if scaled is size:
        return Window(offset, seen, seen)
    to_source = tf.cast(size, tf.float32) / tf.cast(scaled, tf.float32)
    extent = tf.clip_by_value(tf.cast(tf.round(tf.cast(seen, tf.float32) * to_source), tf.int32), 1, size)
    begin = tf.cast(tf.round(tf.cast(offset, tf.float32) * to_source), tf.int32)
    return Window(tf.minimum(begin, size - extent), extent, seen)


def pick_scale(draw, scales=(1.0,), scale_range=None):
    """The scale a draw in [0, 1) stands for."""
    if scale_range is not None:
        low, high = scale_range
        return low + (high - low) * draw
    return tf.gather(tf.constant(scales, tf.float32), tf.cast(draw * len(scales), tf.int32))


def cut(pixels, window: Window):
    """What `window` sees of [height, width, ...]."""
    first, last = window.begin, window.begin + window.extent
    return pixels[first[0] : last[0], first[1] : last[1]]


def finish(image, label, window: Window, draws, *, crop_size: int, mirror: bool = True):
    """The crop from what its window sees of both: scaled, padded, mirrored; shapes and types as `augment` gives.

    Mirrored first, while the picture is small, and then padded on the other side: the same crop.
    """
    mirrored = (draws[3] < 0.5) if mirror else tf.constant(False)
    if mirror:
        image, label = flip(image, label, mirrored)
    image, label = resize(image, label, window.size)
    image, label = pad(image, label, crop_size, mirrored)
    image.set_shape([crop_size, crop_size, 3])
    label.set_shape([crop_size, crop_size])
    return image, label


def flip(image, label, mirrored):
    """Both mirrored left to right where `mirrored` holds."""
    return tf.cond(mirrored, lambda: (tf.reverse(image, [1]), tf.reverse(label, [1])), lambda: (image, label))


def resize(image, label, size):
    """Both to `size`: the image bilinear, float32; the label by nearest neighbour; half-pixel centres, as cv2 resizes."""

    def resized():
        bilinear = tf.raw_ops.ResizeBilinear(images=image[None], size=size, half_pixel_centers=True)[0]
        return bilinear, _nearest(label, size)

    return tf.cond(tf.reduce_all(size == tf.shape(label)), lambda: (tf.cast(image, tf.float32), label), resized)


def _nearest(label, size):
    """Row by row, twice: TensorFlow's op for it takes six times as long."""
    for axis in (0, 1):
        length, places = tf.shape(label)[0], tf.range(size[axis])
        label = tf.transpose(tf.gather(label, (2 * places + 1) * length // (2 * size[axis])))
    return label


def pad(image, label, crop_size: int, mirrored):
    """crop_size x crop_size: the bottom and the right, the left where `mirrored`, filled with the mean pixel and 255."""
    size = tf.shape(label)
    missing = crop_size - size

    def padded():
        row = tf.constant(np.tile(np.float32(MEAN_RGB), (crop_size, 1)))  # many times faster than to repeat one pixel
        left = tf.where(mirrored, missing[1], 0)
        right = missing[1] - left
        sides = [tf.broadcast_to(row[:width], [size[0], width, 3]) for width in (left, right)]
        below = tf.broadcast_to(row, [missing[0], crop_size, 3])
        whole = tf.concat([tf.concat([sides[0], image, sides[1]], axis=1), below], axis=0)
        return whole, tf.pad(label, [[0, missing[0]], [left, right]], constant_values=VOID)

    return tf.cond(tf.reduce_any(missing > 0), padded, lambda: (image, label))
