"""A split for training and evaluation, whether its folder holds pictures and masks or TFDS records."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets import pipeline, statistics, wrong_files
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.datasets.tfds import records
from deeplab_tf.errors import UserError


def open_split(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> pipeline.Source:
    """The samples of a split, numbered; `count` says how many.

    Args:
      spec: the data set.
      data_dir: its folder as data/README.md describes it, or the version folder of its records (it holds
        dataset_info.json), local or gs://.
      split: a split's name, or several joined by "+".

    Raises:
      UserError: what is missing or wrong, by name.
    """
    if records.is_record_folder(data_dir):
        return records.open_records(spec, data_dir, split)
    return pipeline.files(spec, list_samples(spec, data_dir, split))


def training(spec: DatasetSpec, data_dir: str | os.PathLike, split: str, **options) -> tf.data.Dataset:
    """`pipeline.batches_of` a split, with its options. Iterate inside `errors`."""
    return pipeline.batches_of(open_split(spec, data_dir, split), **options)


def evaluation(spec: DatasetSpec, data_dir: str | os.PathLike, split: str, limit: int | None = None) -> tf.data.Dataset:
    """`pipeline.examples_of` a split or its first `limit` samples, in its order. Iterate inside `errors`."""
    examples = pipeline.examples_of(open_split(spec, data_dir, split))
    return examples if limit is None else examples.take(limit)


def class_frequencies(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> statistics.ClassFrequencies:
    """How often each class occurs in a split; reads all of it.

    Raises:
      UserError: naming the first mask that cannot be read or holds an unknown id.
    """
    with errors(spec, data_dir, split):
        return statistics.count_classes(spec, open_split(spec, data_dir, split))


def refuse_one_class(spec: DatasetSpec, data_dir: str | os.PathLike, split: str, ignored: Collection[int] = ()) -> None:
    """Refuses to train on masks with one class alone; reads no further than to the second class.

    Args:
      spec, data_dir, split: as `open_split` takes them.
      ignored: train ids that count as void.

    Raises:
      UserError: all masks together hold fewer than two classes, or one that cannot be read or holds an unknown id.
    """
    found, void = set(), {spec.ignore_label, *ignored}
    with errors(spec, data_dir, split):
        for label in pipeline.labels_of(open_split(spec, data_dir, split)).as_numpy_iterator():
            found |= set(np.flatnonzero(np.bincount(label.ravel(), minlength=256)).tolist()) - void
            if len(found) > 1:
                return
    held = f"nothing but {spec.class_names[found.pop()]!r}" if found else "nothing but void"
    besides = ", apart from classes that are ignored" if ignored else ""
    raise UserError(
        f"{data_dir}: the masks of split {split!r} hold {held}{besides}, expected at least two classes; "
        "`python -m deeplab_tf.check_data` shows what they hold."
    )


@contextlib.contextmanager
def errors(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> Iterator[None]:
    """`wrong_files.user_errors` for a split: what is wrong with its files or records is raised as UserError by name."""
    if not records.is_record_folder(data_dir):
        with wrong_files.user_errors(spec, list_samples(spec, data_dir, split)):
            yield
        return
    try:
        with wrong_files.user_errors():
            yield
    except tf.errors.OpError as error:
        if not wrong_files.is_of_a_file(error):
            raise
        raise UserError(f"{data_dir}: a record of split {split!r} does not decode; write the records again.") from None
