"""Training from TFDS shards: every record has a number, so order, resume and sharding are those of the file pipeline."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets import pipeline
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

_FEATURES = {name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "label", "id")}


def open_records(spec: DatasetSpec, directory: str | os.PathLike, split: str) -> pipeline.Source:
    """Opens the shards of a split; they are read at random, each by its own index.

    Args:
      spec: the data set the shards hold.
      directory: the version folder that a builder wrote (it holds dataset_info.json); local, or gs:// as ArrayRecord
        reads it.
      split: a TFDS split such as "train_aug", "train_aug+val" or "train[:10%]".

    Raises:
      UserError: no shards there, of another data set, of another format, or no such split.
    """
    import tensorflow_datasets as tfds
    from array_record.python import array_record_data_source

    if not is_record_folder(directory):
        raise UserError(f"{directory}: no records of {spec.name}, expected a folder with dataset_info.json.")
    builder = tfds.builder_from_directory(os.fspath(directory))
    if tuple(builder.info.features["label"].names or ()) != spec.class_names:
        raise UserError(f"{directory}: these records have other classes than {spec.name}; name the data set they hold.")
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        raise UserError(f"{directory}: got {builder.info.file_format.value}, expected array_record; write the shards again.")
    try:
        instructions = builder.info.splits[split].file_instructions
    except (KeyError, ValueError) as error:
        raise UserError(f"{directory}: no split {split!r}, expected one of {', '.join(builder.info.splits)}.") from error
    source = array_record_data_source.ArrayRecordDataSource(instructions)
    return pipeline.Source(len(source), lambda numbers: _fetch(source, numbers), lambda *row: _load(os.fspath(directory), *row))


def is_record_folder(directory: str | os.PathLike) -> bool:
    """Whether a builder has written its shards there."""
    return tf.io.gfile.exists(os.path.join(os.fspath(directory), "dataset_info.json"))


def _fetch(source, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Picture and mask (file contents) and id of each record: one Python call for all; decoding stays in the graph."""

    def read(indices):
        return np.array(source.__getitems__(indices.tolist()), object)

    records = tf.numpy_function(read, [numbers], tf.string, stateful=False)
    records.set_shape([None])
    columns = tf.io.parse_example(records, _FEATURES)
    return columns["image"], columns["label"], columns["id"]


def _load(directory: str, image: tf.Tensor, label: tf.Tensor, sample_id: tf.Tensor):
    name = tf.strings.join([directory, ": record ", sample_id])
    return image, tf.io.decode_png(label, channels=1)[..., 0], sample_id, name
