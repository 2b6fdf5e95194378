"""The PNG format, as far as TensorFlow's decoder does not reach: header fields, and the values a file stores."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

# Offsets in a PNG file: 8 bytes of signature, then IHDR (length, type, width, height, depth, colour type, …, CRC).
_WIDTH, DEPTH, COLOR_TYPE, _IHDR_CRC, _AFTER_IHDR = 16, 24, 25, 29, 33
GREY, PALETTE, GREY_ALPHA = 0, 3, 4  # colour types
_IDAT = int.from_bytes(b"IDAT", "big")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A CRC is affine: turning colour type 3 into 0 at that place of IHDR changes it by this constant, whatever else is there.
_CRC_PALETTE_TO_GREY = np.array([0x12, 0xB5, 0xAF, 0xEE], np.uint8)


def is_png(data: tf.Tensor) -> tf.Tensor:
    """Whether file contents (scalar string) begin as a PNG does and hold its header."""
    return (tf.strings.substr(data, 0, 8) == _SIGNATURE) & (tf.strings.length(data) > _AFTER_IHDR)


def header(data: tf.Tensor) -> tf.Tensor:
    """The first bytes as int32 [33]; 0 behind the end of a short file."""
    bytes_ = tf.io.decode_raw(tf.strings.substr(data, 0, _AFTER_IHDR)[None], tf.uint8, fixed_length=_AFTER_IHDR)
    return tf.cast(bytes_[0], tf.int32)


def size(data: tf.Tensor) -> tf.Tensor:
    """Height and width (int32 [2]) by the header."""
    width_height = tf.io.decode_raw(tf.strings.substr(data, _WIDTH, 8), tf.int32, little_endian=False)
    return tf.ensure_shape(width_height, [2])[::-1]


def has_clear_colors(data: tf.Tensor) -> tf.Tensor:
    """Whether a palette PNG has transparent entries; without them the op's own alpha is wrong below 8 bits."""
    return tf.size(tf.strings.split(data, b"tRNS", maxsplit=1)) > 1


def decode_values(data: tf.Tensor) -> tf.Tensor:
    """int32 [height, width]: grey values of a grey PNG, indices of a palette PNG."""
    depth = header(data)[DEPTH]
    values = tf.cond(
        depth == 16,
        lambda: tf.cast(tf.io.decode_png(data, channels=1, dtype=tf.uint16)[..., 0], tf.int32),
        lambda: tf.cast(decode_bytes(data), tf.int32),
    )
    # The decoder spreads 1, 2 and 4 bits over 0..255; what is stored is the number before that.
    step = 255 // (tf.bitwise.left_shift(1, tf.minimum(depth, 8)) - 1)
    return tf.cond(depth < 8, lambda: values // step, lambda: values)


def decode_bytes(data: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width] of a grey or palette PNG, as the decoder gives them: below 8 bits not what is stored."""
    is_palette = header(data)[COLOR_TYPE] == PALETTE
    data = tf.cond(is_palette, lambda: _palette_to_grey(data), lambda: data)
    return tf.io.decode_png(data, channels=1)[..., 0]


def _palette_to_grey(data: tf.Tensor) -> tf.Tensor:
    """The same PNG with its indices declared grey: no decoder of TensorFlow or cv2 gives indices, this one must."""

    length = tf.strings.length(data)

    def chunk(at):  # its length and type; 0 behind the end of the file
        bytes_ = tf.strings.substr(data, tf.minimum(at, length), 8)[None]
        return tf.io.decode_raw(bytes_, tf.int32, little_endian=False, fixed_length=8)[0]

    def step(at, head):
        at += 12 + tf.clip_by_value(head[0], 0, length)
        return at, chunk(at)

    start = tf.constant(_AFTER_IHDR)
    place, _ = tf.while_loop(lambda at, head: (head[1] != _IDAT) & (at < length), step, [start, chunk(start)])
    crc = tf.bitwise.bitwise_xor(_bytes(data, _IHDR_CRC, 4), _CRC_PALETTE_TO_GREY)
    crc = tf.strings.reduce_join(tf.gather(_byte_strings(), tf.cast(crc, tf.int32)))
    head, middle = tf.strings.substr(data, 0, COLOR_TYPE), tf.strings.substr(data, COLOR_TYPE + 1, 3)
    return tf.strings.join([head, b"\0", middle, crc, tf.strings.substr(data, tf.minimum(place, length), -1)])


def _bytes(data: tf.Tensor, at, count: int) -> tf.Tensor:
    return tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8)


@functools.cache
def _byte_strings() -> np.ndarray:
    return np.array([bytes([value]) for value in range(256)], object)
