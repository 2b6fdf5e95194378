"""Picture files to arrays: ONE reader, the same TensorFlow ops in tf.data and outside.

JPEG (decoded as cv2 does) and PNG; grey is expanded, alpha is laid over white, 16 bits are cut to 8, pixels stay as they
are stored (an EXIF orientation is not applied: masks are drawn on stored pixels; check_data reports it).
"""

from __future__ import annotations

import functools
import os

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets import png
from deeplab_tf.datasets.refusals import naming

_DCT = "INTEGER_ACCURATE"
_JPEG_MARGIN = 16  # pixels: more than a block of colour, with which the edge of a decoded part is exact


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as uint8 [height, width, 3], RGB.

    Raises:
      UserError: naming the file, when it is missing, broken or neither JPEG nor PNG.
    """
    with naming(path, "a JPEG or PNG picture"):
        return decode_image(tf.io.read_file(os.fspath(path))).numpy()


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """File contents (scalar string) to uint8 [height, width, 3], RGB; in a graph of TensorFlow's or outside.

    Raises:
      tf.errors.InvalidArgumentError: they are neither JPEG nor PNG, or damaged; `wrong_files.user_errors` names the file.
    """
    return _picture_function()(data)


def decode_part(data: tf.Tensor, begin: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    """`decode_image(data)[begin[0] : begin[0] + extent[0], begin[1] : ...]`, without decoding all of a JPEG.

    Args:
      data: scalar string, file contents.
      begin, extent: int32 [2], inside the picture.
    """

    def of_jpeg():
        # The decoder is exact but for the colours along the window's edge, which it smooths without their neighbours.
        start = tf.maximum(begin - _JPEG_MARGIN, 0)
        stop = tf.minimum(begin + extent + _JPEG_MARGIN, tf.image.extract_jpeg_shape(data)[:2])
        return begin - start, tf.image.decode_and_crop_jpeg(data, tf.concat([start, stop - start], 0), 3, dct_method=_DCT)

    first, part = tf.cond(_is_jpeg(data), of_jpeg, lambda: (begin, decode_image(data)))
    last = first + extent
    part = part[first[0] : last[0], first[1] : last[1]]
    part.set_shape([None, None, 3])
    return part


def image_size(data: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
    """Height and width (int32 [2]) by the header of a JPEG or PNG; `otherwise` where it is neither."""

    def of_other():
        return tf.cond(png.is_png(data), lambda: png.size(data), lambda: otherwise)

    return tf.cond(_is_jpeg(data), lambda: tf.image.extract_jpeg_shape(data)[:2], of_other)


@functools.cache
def _picture_function():
    """Traced once for all that reads pictures."""

    def decode(data):
        # The op takes WebP and GIF too, with another shape, and colours that nobody checked.
        is_picture = png.is_png(data) | _is_jpeg(data)
        refusal = tf.debugging.Assert(is_picture, ["cannot decode: neither JPEG nor PNG, size", tf.strings.length(data)])
        with tf.control_dependencies([refusal]):
            image = tf.cond(png.is_png(data), lambda: _decode_png_picture(data), lambda: _decode_rgb(data))
        return tf.ensure_shape(image, [None, None, 3])

    return tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def _decode_rgb(data: tf.Tensor) -> tf.Tensor:
    # The op reads PNG as well; INTEGER_ACCURATE is what cv2 and Pillow decode with, the default differs by 4 levels.
    return tf.io.decode_jpeg(data, channels=3, dct_method=_DCT)


def _decode_png_picture(data: tf.Tensor) -> tf.Tensor:
    kind = png.header(data)[png.COLOR_TYPE]
    may_be_clear = (kind > png.PALETTE) | (kind == png.PALETTE) & png.has_clear_colors(data)
    return tf.cond(may_be_clear, lambda: _over_white(tf.io.decode_png(data, channels=4)), lambda: _decode_rgb(data))


def _over_white(rgba: tf.Tensor) -> tf.Tensor:
    rgba = tf.cast(rgba, tf.int32)
    color, alpha = rgba[..., :3], rgba[..., 3:]
    return tf.cast((color * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _is_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"
