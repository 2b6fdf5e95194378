"""One TFDS builder for every data set of the paper.

A builder takes its pictures from the folder of the data set (TFDS calls it the manual directory; data/README.md says how it
lies on disk). Pictures are stored as the bytes of their files; masks as grey PNGs of train ids, because a PNG feature
would decode a palette to colours and lose the ids.

Where TFDS is given options or a runner of Apache Beam, pictures are read and checked by Beam's workers, who must see the folder
of the data set and that of the records. The records and their order are the same to the byte; TFDS cuts a split of several
shards elsewhere then.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_datasets as tfds

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.prepare import origin
from deeplab_tf.datasets.samples import Sample, list_samples, present_splits
from deeplab_tf.datasets.specs import DatasetSpec, get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.extras import needed


class SegmentationBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures with masks of the data set `SPEC_NAME`, in the splits `SPLITS` as far as they are there."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder of the data set as data/README.md of deeplab_tf describes it."
    SPEC_NAME: str
    SPLITS: tuple[str, ...] = ("train", "val")
    IMAGE_FORMAT = "jpeg"
    _lists: str | None = None  # folder of the lists that Beam's workers read; None without Beam

    def _info(self) -> tfds.core.DatasetInfo:
        spec = get_dataset(self.SPEC_NAME)
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format=self.IMAGE_FORMAT),
            "label": tfds.features.LabeledImage(labels=list(spec.class_names), shape=(None, None, 1), encoding_format="png"),
            "id": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{spec.name} for semantic segmentation; labels are train ids, 255 is void.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        spec = get_dataset(self.SPEC_NAME)
        there, missing = present_splits(spec, dl_manager.manual_dir, self.SPLITS)
        if not there:
            raise UserError(next(iter(missing.values())))
        return {split: self._generate_examples(list_samples(spec, dl_manager.manual_dir, split), split) for split in there}

    def _generate_examples(self, samples: tuple[Sample, ...], split: str):
        """(id, example) of every picture, or Beam's transform that gives them."""
        example = functools.partial(_example, get_dataset(self.SPEC_NAME))
        if self._lists is None:
            return map(example, samples)
        beam, path = needed("apache_beam", "beam", "a builder with Beam's options"), os.path.join(self._lists, f"{split}.jsonl")
        with tf.io.gfile.GFile(path, "w") as lines:  # a transform that holds the samples would not pass through a runner's door
            lines.write("".join(json.dumps(dataclasses.asdict(sample)) + "\n" for sample in samples))
        return beam.io.ReadFromText(path) | beam.Reshuffle() | beam.Map(_of_line) | beam.Map(example)

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        if not (download_config.beam_runner or download_config.beam_options):
            return super()._download_and_prepare(dl_manager, download_config)
        self._lists = os.path.join(os.fspath(self.data_dir), "lists")  # the folder that becomes the records' when all is done
        tf.io.gfile.makedirs(self._lists)
        try:
            super()._download_and_prepare(dl_manager, download_config)
        finally:
            tf.io.gfile.rmtree(self._lists)
            self._lists = None


def _example(spec: DatasetSpec, sample: Sample) -> tuple[str, dict]:
    read_image(sample.image)  # what is broken is refused by name here, not in the training
    label = read_label(sample.label, spec)
    return sample.id, {"image": sample.image, "label": label[..., None], "id": sample.id}


def _of_line(line: str) -> Sample:
    return Sample(**json.loads(line))


class DeeplabVoc2012(SegmentationBuilder):
    """VOC 2012 and its augmented training set."""

    SPEC_NAME = "voc2012"
    SPLITS = ("train", "train_aug", "val")


class DeeplabPascalContext(SegmentationBuilder):
    """PASCAL-Context, 59 classes and background."""

    SPEC_NAME = "pascal_context"


class DeeplabPascalPersonPart(SegmentationBuilder):
    """PASCAL-Person-Part, six parts and background."""

    SPEC_NAME = "pascal_person_part"


class DeeplabCityscapes(SegmentationBuilder):
    """Cityscapes, 19 classes, fine and coarse."""

    SPEC_NAME = "cityscapes"
    SPLITS = ("train", "val", "train_coarse", "train_extra")
    IMAGE_FORMAT = "png"


class DeeplabCocoVoc(SegmentationBuilder):
    """MS-COCO with the classes of VOC, for pre-training."""

    SPEC_NAME = "coco_voc"


class DeeplabCoco(SegmentationBuilder):
    """MS-COCO with its own 80 classes and background, for pre-training."""

    SPEC_NAME = "coco"


BUILDERS = {
    builder.SPEC_NAME: builder
    for builder in (
        DeeplabVoc2012,
        DeeplabPascalContext,
        DeeplabPascalPersonPart,
        DeeplabCityscapes,
        DeeplabCocoVoc,
        DeeplabCoco,
    )
}


def write_records(name: str, source: str | os.PathLike, out: str | os.PathLike) -> pathlib.Path:
    """Writes the shards of a data set below `out`, and prints what they hold; what is complete already is kept.

    Args:
      name: the data set's name.
      source: its folder, as `list_samples` reads it.
      out: folder for the shards, local or remote.

    Returns:
      The folder of the shards, which `records.open_records` takes.

    Raises:
      UserError: a data set without a builder, a file that is missing or wrong (a split with one is never left out), or a
        folder with the records of another source, or of less than the source holds now.
    """
    if name not in BUILDERS:
        raise UserError(f"{name}: no record format for it, expected one of {', '.join(BUILDERS)}.")
    source, builder = os.path.realpath(source), BUILDERS[name](data_dir=os.fspath(out), file_format="array_record")
    folder, is_local = pathlib.Path(builder.data_dir), "://" not in os.fspath(out)
    there, missing = present_splits(get_dataset(name), source, builder.SPLITS)
    if is_local and folder.is_dir():
        origin.claim_inputs(folder, name, [source], holds=True)
        _check_complete(builder, source, there)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=source))
    if is_local:
        origin.claim_inputs(folder, name, [source], holds=False)
    for split, info in builder.info.splits.items():
        print(f"  {name} records, {split}: {info.num_examples:,} pictures")
    for split, reason in missing.items():
        print(f"  {name} records, {split}: left out, it is not there ({reason.rstrip('.')})")
    return folder


def _check_complete(builder: SegmentationBuilder, source: str, splits: Sequence[str]) -> None:
    """Refuses records that hold less, or more, than the source does now: they are never added to."""
    spec = get_dataset(builder.SPEC_NAME)
    for split in splits:
        pictures = len(list_samples(spec, source, split))
        records = builder.info.splits[split].num_examples if split in builder.info.splits else 0
        if records != pictures:
            raise UserError(
                f"{builder.data_dir}: holds {records:,} records of split {split!r}, the source has {pictures:,} "
                "pictures now; choose a new folder, or delete this one."
            )
