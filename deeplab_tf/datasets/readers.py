"""Picture and mask files to arrays: ONE reader each, the same TensorFlow ops in tf.data and outside.

Pictures: JPEG (decoded as cv2 does) and PNG; grey is expanded, alpha is laid over white, 16 bits are cut to 8, pixels
stay as they are stored (an EXIF orientation is not applied: masks are drawn on stored pixels; check_data reports it).

Masks: PNG only. Palette files give their indices, grey files of 8 or 16 bits their values, colour files are looked up
in the data set's colours; all then go through the label table to train ids. `*TrainIds.png` already hold train ids.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

UNKNOWN = 254  # in the look-up tables: a value that the label table does not hold
_ADVICE = "; `python -m deeplab_tf.check_data` lists all such files"

_DCT = "INTEGER_ACCURATE"
_JPEG_MARGIN = 16  # pixels: more than a block of colour, with which the edge of a decoded part is exact
# Offsets in a PNG file: 8 bytes of signature, then IHDR (length, type, width, height, depth, colour type, …, CRC).
_WIDTH, _DEPTH, _COLOR_TYPE, _IHDR_CRC, _AFTER_IHDR = 16, 24, 25, 29, 33
_IDAT = int.from_bytes(b"IDAT", "big")
_GREY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A CRC is affine: turning colour type 3 into 0 at that place of IHDR changes it by this constant, whatever else is there.
_CRC_PALETTE_TO_GREY = np.array([0x12, 0xB5, 0xAF, 0xEE], np.uint8)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as uint8 [height, width, 3], RGB.

    Raises:
      UserError: naming the file, when it is missing, broken or neither JPEG nor PNG.
    """
    with _naming(path, "a JPEG or PNG picture"):
        return decode_image(tf.io.read_file(os.fspath(path))).numpy()


def read_label(path: str | os.PathLike, spec: DatasetSpec) -> np.ndarray:
    """Reads a mask as uint8 [height, width] train ids, 255 for void.

    Raises:
      UserError: naming the file, when it is missing, broken, no PNG, or holds a value the label table does not.
    """
    with _naming(path, "a PNG mask"):
        path = os.fspath(path)
        return _label_function(spec)(tf.io.read_file(path), path).numpy()


def read_mask_values(path: str | os.PathLike) -> np.ndarray:
    """Reads a mask as it is stored: [height, width] palette indices or grey values, or [height, width, 3] colours.

    Raises:
      UserError: naming the file, when it is missing, broken or no PNG.
    """
    with _naming(path, "a PNG mask"):
        data = tf.io.read_file(os.fspath(path))
        _check_png(data, tf.constant(os.fspath(path)))
        if int(_header(data)[_COLOR_TYPE]) in (_GREY, _PALETTE):
            return _values_function()(data).numpy()
        return tf.io.decode_png(data, channels=3).numpy()


def decode_image(data: tf.Tensor) -> tf.Tensor:
    """File contents (scalar string) to uint8 [height, width, 3], RGB; a TensorFlow graph function."""
    image = tf.cond(_is_png(data), lambda: _decode_png_picture(data), lambda: _decode_rgb(data))
    image.set_shape([None, None, 3])
    return image


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

    def by_header():
        size = tf.io.decode_raw(tf.strings.substr(data, _WIDTH, 8), tf.int32, little_endian=False)
        return tf.ensure_shape(size, [2])[::-1]

    def of_other():
        return tf.cond(_is_png(data), by_header, lambda: otherwise)

    return tf.cond(_is_jpeg(data), lambda: tf.image.extract_jpeg_shape(data)[:2], of_other)


def _decode_rgb(data: tf.Tensor) -> tf.Tensor:
    # The op reads PNG as well; INTEGER_ACCURATE is what cv2 and Pillow decode with, the default differs by 4 levels.
    return tf.io.decode_jpeg(data, channels=3, dct_method=_DCT)


def _decode_png_picture(data: tf.Tensor) -> tf.Tensor:
    kind = _header(data)[_COLOR_TYPE]
    may_be_clear = (kind > _PALETTE) | (kind == _PALETTE) & _has_clear_colors(data)
    return tf.cond(may_be_clear, lambda: _over_white(tf.io.decode_png(data, channels=4)), lambda: _decode_rgb(data))


def _has_clear_colors(data: tf.Tensor) -> tf.Tensor:
    """Whether a palette PNG has transparent entries; without them the op's own alpha is wrong below 8 bits."""
    return tf.size(tf.strings.split(data, b"tRNS", maxsplit=1)) > 1


def _over_white(rgba: tf.Tensor) -> tf.Tensor:
    rgba = tf.cast(rgba, tf.int32)
    color, alpha = rgba[..., :3], rgba[..., 3:]
    return tf.cast((color * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def decode_label(data: tf.Tensor, path: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    """File contents to uint8 [height, width] train ids, 255 for void; a TensorFlow graph function.

    Args:
      data: scalar string, the file's bytes.
      path: scalar string, its name: for the message, and `*TrainIds.png` are taken as train ids.
      spec: the data set.

    Raises:
      tf.errors.InvalidArgumentError: the file is no PNG or holds an unknown value; `user_errors` makes it readable.
    """
    with tf.control_dependencies([_check_png(data, path)]):
        kind = _header(data)[_COLOR_TYPE]
    colored = (kind & 2 > 0) & (kind != _PALETTE)
    label = tf.cond(
        colored, lambda: _label_of_colors(data, path, spec), lambda: _label_of_values(data, path, spec)
    )
    label.set_shape([None, None])
    return label


@functools.cache
def _label_function(spec: DatasetSpec):
    text = tf.TensorSpec([], tf.string)
    return tf.function(lambda data, path: decode_label(data, path, spec), input_signature=[text, text])


@functools.cache
def _values_function():
    return tf.function(_decode_values, input_signature=[tf.TensorSpec([], tf.string)])


def _label_of_values(data: tf.Tensor, path: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    is_train_ids = tf.strings.regex_full_match(path, r".*TrainIds\.png")
    in_order = bool((_id_table(spec) == _train_id_table(spec)).all()) or is_train_ids
    label, unknown = tf.cond(
        in_order & (_header(data)[_DEPTH] == 8),
        lambda: _keep_values(_decode_bytes(data), spec.num_classes),
        lambda: _look_up(_decode_values(data), tf.where(is_train_ids, _train_id_table(spec), _id_table(spec))),
    )

    def advice():
        known = ", ".join(map(str, _ranges(spec.train_id_of)))
        value = tf.strings.as_string(unknown)
        return tf.strings.join(["label id ", value, f" is not in the label table of {spec.name} ({known}){_ADVICE}"])

    with tf.control_dependencies([refuse_if(unknown >= 0, path, advice)]):
        return tf.identity(label)


def _keep_values(values: tf.Tensor, num_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Values that are train ids already, the common case and five times as fast as a look-up; and an unknown one or -1."""
    highest = tf.cast(tf.reduce_max(values + 1), tf.int32)  # in a byte void + 1 is 0
    return values, tf.where(highest > num_classes, highest - 1, -1)


def _look_up(values: tf.Tensor, table: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Train ids of the values; and the first value that the table does not hold, or -1."""
    label = tf.gather(table, values)
    found = tf.boolean_mask(values, label == UNKNOWN)
    return label, tf.concat([found, [-1]], 0)[0]


def _label_of_colors(data: tf.Tensor, path: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    rgb = tf.cast(tf.io.decode_png(data, channels=3), tf.int32)
    keys = rgb[..., 0] * 65536 + rgb[..., 1] * 256 + rgb[..., 2]
    known, train_ids = _color_table(spec)
    place = tf.reshape(tf.searchsorted(known, tf.reshape(keys, [-1])), tf.shape(keys))
    place = tf.minimum(place, len(known) - 1)
    is_known = tf.gather(known, place) == keys

    def advice():
        color = tf.strings.reduce_join(tf.strings.as_string(tf.boolean_mask(rgb, ~is_known)[0]), separator=",")
        return tf.strings.join(["colour ", color, f" is no class of {spec.name}{_ADVICE}"])

    with tf.control_dependencies([refuse_if(~tf.reduce_all(is_known), path, advice)]):
        return tf.gather(train_ids, place)


def refuse_if(condition: tf.Tensor, path: tf.Tensor, message) -> tf.Operation:
    """Fails with "PATH: MESSAGE." where `condition` holds, in a form that `user_errors` finds.

    Args:
      message: function without arguments that returns the scalar string; only built where it is needed.
    """

    def fail():
        sentence = tf.strings.join(["<<", path, ": ", message(), ".>>"])
        with tf.control_dependencies([tf.debugging.Assert(False, [sentence])]):
            return tf.constant(0)

    return tf.cond(condition, fail, lambda: tf.constant(0))


def _decode_values(data: tf.Tensor) -> tf.Tensor:
    """int32 [height, width]: grey values of a grey PNG, indices of a palette PNG."""
    header = _header(data)
    depth = header[_DEPTH]
    values = tf.cond(
        depth == 16,
        lambda: tf.cast(tf.io.decode_png(data, channels=1, dtype=tf.uint16)[..., 0], tf.int32),
        lambda: tf.cast(_decode_bytes(data), tf.int32),
    )
    # The decoder spreads 1, 2 and 4 bits over 0..255; an index is the number before that.
    step = 255 // (tf.bitwise.left_shift(1, tf.minimum(depth, 8)) - 1)
    spread = (header[_COLOR_TYPE] == _PALETTE) & (depth < 8)
    return tf.cond(spread, lambda: values // step, lambda: values)


def _decode_bytes(data: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width] of a grey or palette PNG, as the decoder gives them."""
    is_palette = _header(data)[_COLOR_TYPE] == _PALETTE
    data = tf.cond(is_palette, lambda: _palette_to_grey(data), lambda: data)
    return tf.io.decode_png(data, channels=1)[..., 0]


def _palette_to_grey(data: tf.Tensor) -> tf.Tensor:
    """The same PNG with its indices declared grey: no decoder of TensorFlow or cv2 gives indices, this one must."""

    def chunk(at):  # its length and type
        return tf.io.decode_raw(tf.strings.substr(data, at, 8), tf.int32, little_endian=False)

    def step(at, head):
        at += 12 + tf.maximum(head[0], 0)
        return at, chunk(at)

    start = tf.constant(_AFTER_IHDR)
    place, _ = tf.while_loop(lambda at, head: head[1] != _IDAT, step, [start, chunk(start)])
    crc = tf.bitwise.bitwise_xor(_bytes(data, _IHDR_CRC, 4), _CRC_PALETTE_TO_GREY)
    crc = tf.strings.reduce_join(tf.gather(_byte_strings(), tf.cast(crc, tf.int32)))
    head, middle = tf.strings.substr(data, 0, _COLOR_TYPE), tf.strings.substr(data, _COLOR_TYPE + 1, 3)
    return tf.strings.join([head, b"\0", middle, crc, tf.strings.substr(data, place, -1)])


def _check_png(data: tf.Tensor, path: tf.Tensor) -> tf.Operation:
    def advice():
        return tf.constant("no PNG, expected a PNG mask; a mask saved as JPEG has lost its ids, export it again")

    return refuse_if(~_is_png(data), path, advice)


def _is_png(data: tf.Tensor) -> tf.Tensor:
    return (tf.strings.substr(data, 0, 8) == _PNG_SIGNATURE) & (tf.strings.length(data) > _AFTER_IHDR)


def _is_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"


def _bytes(data: tf.Tensor, at, count: int) -> tf.Tensor:
    return tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8)


def _header(data: tf.Tensor) -> tf.Tensor:
    """The first bytes as int32 [33]; 0 behind the end of a short file."""
    bytes_ = tf.io.decode_raw(tf.strings.substr(data, 0, _AFTER_IHDR)[None], tf.uint8, fixed_length=_AFTER_IHDR)
    return tf.cast(bytes_[0], tf.int32)


@functools.cache
def _byte_strings() -> np.ndarray:
    return np.array([bytes([value]) for value in range(256)], object)


def _id_table(spec: DatasetSpec) -> np.ndarray:
    if not spec.labels:
        raise UserError(
            f"Data set {spec.name!r} has no label table; write labels.txt, one class name a line, into its folder."
        )
    table = np.full(65536, UNKNOWN, np.uint8)
    for value, train_id in spec.train_id_of.items():
        table[value] = train_id
    return table


def _train_id_table(spec: DatasetSpec) -> np.ndarray:
    table = np.full(65536, UNKNOWN, np.uint8)
    table[: spec.num_classes] = np.arange(spec.num_classes)
    table[spec.ignore_label] = spec.ignore_label
    return table


def _color_table(spec: DatasetSpec) -> tuple[np.ndarray, np.ndarray]:
    rows = sorted((r << 16 | g << 8 | b, train_id) for (r, g, b), train_id in spec.train_id_of_color.items())
    keys, train_ids = zip(*rows, strict=True)
    return np.array(keys, np.int32), np.array(train_ids, np.uint8)


def _ranges(values: Iterable[int]) -> Iterator[str]:
    """0, 1, 2, 255 -> "0..2", "255"."""
    run: list[int] = []
    for value in [*sorted(values), None]:
        if run and value != run[-1] + 1:
            yield f"{run[0]}..{run[-1]}" if len(run) > 1 else f"{run[0]}"
            run = []
        run.append(value)


@contextlib.contextmanager
def _naming(path: str | os.PathLike, expected: str) -> Iterator[None]:
    """Turns what TensorFlow says about one file into a UserError that names it."""
    try:
        yield
    except tf.errors.OpError as error:
        if isinstance(error, tf.errors.NotFoundError):
            raise UserError(f"{path}: no such file, expected {expected}.") from None
        refusal = find_refusal(error)
        reason = (
            "empty file" if os.path.isfile(path) and os.path.getsize(path) == 0 else _short(error.message)
        )
        raise UserError(
            refusal or f"{path}: cannot be read ({reason}), expected {expected}; replace the file."
        ) from None


def find_refusal(error: tf.errors.OpError) -> str | None:
    """The sentence of `refuse_if` inside a TensorFlow error, or None."""
    found = re.search(r"<<(.*?)>>", error.message or "", re.DOTALL)
    return found and re.sub(r"\\(.)", r"\1", found.group(1))


def _short(message: str) -> str:
    message = re.sub(r"\{\{.*?\}\}|\[Op:.*|\s+", " ", message).strip()
    return message.removesuffix(" name:").rstrip(" .")


def first_unreadable(spec: DatasetSpec, samples: Iterable[Sample], hint: str = "") -> str | None:
    """What is wrong with the first sample that cannot be read, or None.

    Args:
      hint: the message TensorFlow gave; files whose size stands in it are tried first.
    """

    def size_is_named(sample):
        sizes = (
            str(os.path.getsize(path))
            for path in (sample.image, sample.label)
            if path and os.path.isfile(path)
        )
        return any(size in hint for size in sizes)

    for sample in sorted(samples, key=lambda sample: not size_is_named(sample)):
        try:
            read_image(sample.image)
            if sample.label:
                read_label(sample.label, spec)
        except UserError as error:
            return str(error)
    return None
