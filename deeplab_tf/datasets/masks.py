"""Mask files to arrays of train ids: ONE reader, the same TensorFlow ops in tf.data and outside.

PNG only. Palette files give their indices, grey files of 1 to 16 bits the values they store, colour files are looked up in
the data set's colours; all then go through the label table to train ids. `*TrainIds.png` already hold train ids. Alpha is not
read.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets import png
from deeplab_tf.datasets.refusals import naming, refuse_if
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

UNKNOWN = 254  # in the look-up tables: a value that the label table does not hold
_ADVICE = "; `python -m deeplab_tf.check_data` lists all such files"


def read_label(path: str | os.PathLike, spec: DatasetSpec) -> np.ndarray:
    """Reads a mask as uint8 [height, width] train ids, 255 for void.

    Raises:
      UserError: naming the file, when it is missing, broken, no PNG, or holds a value the label table does not.
    """
    require_labels(spec)
    with naming(path, "a PNG mask"):
        path = os.fspath(path)
        return decode_label(tf.io.read_file(path), path, spec).numpy()


def read_mask_values(path: str | os.PathLike) -> np.ndarray:
    """Reads a mask as it is stored: [height, width] palette indices or grey values, or [height, width, 3] colours.

    Raises:
      UserError: naming the file, when it is missing, broken or no PNG.
    """
    with naming(path, "a PNG mask"):
        data = tf.io.read_file(os.fspath(path))
        _check_png(data, tf.constant(os.fspath(path)))
        if int(png.header(data)[png.COLOR_TYPE]) in (png.GREY, png.PALETTE, png.GREY_ALPHA):
            return _values_function()(data).numpy()
        return tf.io.decode_png(data, channels=3).numpy()


def decode_label(data: tf.Tensor, path: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    """File contents to uint8 [height, width] train ids, 255 for void; in a graph of TensorFlow's or outside.

    Args:
      data: scalar string, the file's bytes.
      path: scalar string, its name: for the message, and `*TrainIds.png` are taken as train ids.
      spec: the data set.

    Raises:
      tf.errors.InvalidArgumentError: the file is no PNG or holds an unknown value; `wrong_files.user_errors` makes it
        readable.
    """
    return _label_function(spec)(data, path)


def require_labels(spec: DatasetSpec) -> None:
    """Refuses a spec that knows no class, before a graph is made of it.

    Raises:
      UserError: the spec of "folder" was taken without the folder.
    """
    if not spec.labels:
        raise UserError(
            f"get_dataset({spec.name!r}) knows no class, expected the folder beside the name: "
            f"get_dataset({spec.name!r}, DIR) reads DIR/labels.txt, one class name a line."
        )


@functools.cache
def _label_function(spec: DatasetSpec):
    """Traced once for all pipelines of a data set: it takes longer than everything else in them."""

    def decode(data, path):
        with tf.control_dependencies([_check_png(data, path)]):
            kind = png.header(data)[png.COLOR_TYPE]
        colored = (kind & 2 > 0) & (kind != png.PALETTE)
        label = tf.cond(colored, lambda: _label_of_colors(data, path, spec), lambda: _label_of_values(data, path, spec))
        return tf.ensure_shape(label, [None, None])

    text = tf.TensorSpec([], tf.string)
    return tf.function(decode, input_signature=[text, text], autograph=False)


@functools.cache
def _values_function():
    return tf.function(png.decode_values, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def _check_png(data: tf.Tensor, path: tf.Tensor) -> tf.Operation:
    def advice():
        return tf.constant("no PNG, expected a PNG mask; a mask saved as JPEG has lost its ids, export it again")

    return refuse_if(~png.is_png(data), path, advice)


def _label_of_values(data: tf.Tensor, path: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    is_train_ids = tf.strings.regex_full_match(path, r".*TrainIds\.png")
    in_order = bool((_id_table(spec) == _train_id_table(spec)).all()) or is_train_ids
    label, unknown = tf.cond(
        in_order & (png.header(data)[png.DEPTH] == 8),
        lambda: _keep_values(png.decode_bytes(data), spec.num_classes),
        lambda: _look_up(png.decode_values(data), tf.where(is_train_ids, _train_id_table(spec), _id_table(spec))),
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


def _id_table(spec: DatasetSpec) -> np.ndarray:
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
