"""Training from TFDS shards: every record has a number, so order, resume and sharding are those of the file pipeline."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import tensorflow as tf

from deeplab_tf.datasets import pipeline, readers
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

_FEATURES = {name: tf.io.FixedLenFeature([], tf.string) for name in ("image", "label", "id")}


@dataclasses.dataclass(frozen=True)
class RecordSplit:
    """A split in shards: `count` records; `read(number)` is a graph function to (image, label, id) as the readers give them."""

    count: int
    read: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def open_records(spec: DatasetSpec, directory: str | os.PathLike, split: str) -> RecordSplit:
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
    return RecordSplit(len(source), lambda number: _parse(_fetch(source, number)))


def is_record_folder(directory: str | os.PathLike) -> bool:
    """Whether a builder has written its shards there."""
    return tf.io.gfile.exists(os.path.join(os.fspath(directory), "dataset_info.json"))


def record_batches(spec: DatasetSpec, directory: str | os.PathLike, split: str, **options) -> tf.data.Dataset:
    """`pipeline.training_batches` from shards: the same options, the same elements."""
    records = open_records(spec, directory, split)
    return pipeline.batches_of(records.read, records.count, **options)


def record_examples(spec: DatasetSpec, directory: str | os.PathLike, split: str) -> tf.data.Dataset:
    """`pipeline.evaluation_examples` from shards, in the order of the records."""
    records = open_records(spec, directory, split)

    def example(number):
        return dict(zip(("image", "label", "id"), records.read(number), strict=True))

    return tf.data.Dataset.range(records.count).map(example, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _fetch(source, number: tf.Tensor) -> tf.Tensor:
    """The bytes of a record: the one Python call per picture, some 50 µs; parsing and decoding stay in the graph."""
    record = tf.numpy_function(lambda index: source[int(index)], [number], tf.string, stateful=False)
    record.set_shape([])
    return record


def _parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    example = tf.io.parse_single_example(record, _FEATURES)
    label = tf.io.decode_png(example["label"], channels=1)[..., 0]
    return readers.decode_image(example["image"]), label, example["id"]
