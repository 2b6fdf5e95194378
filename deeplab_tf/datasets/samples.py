"""Which pictures and masks a split holds, all ending in `Sample`s."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pathlib
from collections import defaultdict
from collections.abc import Sequence

from deeplab_tf.datasets.layouts import LISTERS, NoSuchSplit, Sample, listed, walk
from deeplab_tf.datasets.specs import RENDERED, DatasetSpec, relative_to
from deeplab_tf.errors import UserError


def list_samples(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> tuple[Sample, ...]:
    """The samples of a split, in the order of its list file, else by name.

    Args:
      spec: the data set.
      data_dir: its folder (see data/README.md for what lies in it). Of a rendered set the scenes are drawn
        into it the first time.
      split: a split's name, or several joined by "+", such as "train+train_extra".

    Raises:
      UserError: unknown split, missing folder, list, picture or mask, an empty list, an id listed twice.
    """
    samples = find_samples(spec, data_dir, split)
    seen = set()
    for sample in samples:
        problem = missing_file(sample)
        if problem:
            raise UserError(f"{problem} (split {split!r}); add it or take the id off the list.")
        if sample.id in seen:
            raise UserError(
                f"{sample.image}: id {sample.id!r} stands twice in split {split!r}; list every picture once, "
                "and give namesakes names of their own."
            )
        seen.add(sample.id)
    return samples


def find_samples(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> tuple[Sample, ...]:
    """`list_samples` without a look at the files: some may be missing, ids may stand twice.

    Raises:
      UserError: unknown split, missing folder or list, an empty list, records; NoSuchSplit where nothing of the split is there.
    """
    root = pathlib.Path(data_dir)
    if is_records(data_dir):
        raise UserError(
            f"{data_dir}: holds TFDS records, expected pictures and masks; records are checked when they are "
            "written, so name the folder that they were made from."
        )
    if spec.name in RENDERED:
        root = importlib.import_module(f"deeplab_tf.datasets.{spec.name}").ensure(root)
    if not root.is_dir():
        where = relative_to(root)
        raise UserError(f"{root}: no such data folder{where} for {spec.name}; data/README.md says how it lies on disk.")
    prepared = (root / "masks").is_dir()
    lister = listed if prepared else LISTERS.get(spec.name, listed)
    return _apart([(name, _one_split(spec, lister, root, name)) for name in split.split("+")])


def is_records(data_dir: str | os.PathLike) -> bool:
    """Whether the folder, local or remote, holds TFDS records instead of files."""
    return "://" in os.fspath(data_dir) or os.path.isfile(os.path.join(data_dir, "dataset_info.json"))


def present_splits(spec: DatasetSpec, data_dir: str | os.PathLike, splits: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Which of the splits are there; and for those that are not there at all, what is missing.

    Raises:
      UserError: a folder or list of a split is wrong, which must not pass for a split that is not there.
    """
    there, missing = [], {}
    for split in splits:
        try:
            find_samples(spec, data_dir, split)
            there.append(split)
        except NoSuchSplit as error:
            missing[split] = str(error)
    return there, missing


def masks_without_pictures(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> list[str]:
    """Masks that no picture of the split has; empty where a list says what is of it."""
    root, found = pathlib.Path(data_dir), []
    used = {sample.label for sample in find_samples(spec, root, split)}
    for name in split.split("+"):
        if (root / "masks").is_dir():
            folder = root / "masks" / name
        else:
            folder = root / f"{name}annot" if spec.name == "camvid" else None
        if folder is not None and folder.is_dir() and not (root / f"{name}.txt").is_file():
            found += sorted({str(folder / one) for one in walk(folder)} - used)
    return found


def missing_file(sample: Sample) -> str | None:
    """What to say of a sample whose picture or mask is not there; None where both are."""
    for kind, path in (("picture", sample.image), ("mask", sample.label)):
        if path is not None and not os.path.isfile(path):
            return f"{path}: the {kind} of {sample.id!r} is missing"
    return None


def _apart(parts: list[tuple[str, list[Sample]]]) -> tuple[Sample, ...]:
    """Joined splits; a name that restarts in several of them gets the split's name in front."""
    if len(parts) == 1:
        return tuple(parts[0][1])
    pictures = defaultdict(set)
    for _, samples in parts:
        for sample in samples:
            pictures[sample.id].add(sample.image)
    return tuple(
        dataclasses.replace(sample, id=f"{split}/{sample.id}") if len(pictures[sample.id]) > 1 else sample
        for split, samples in parts
        for sample in samples
    )


def _one_split(spec: DatasetSpec, lister, root: pathlib.Path, split: str) -> list[Sample]:
    if spec.splits and split not in spec.split_names and not (root / f"{split}.txt").is_file():
        raise UserError(f"Unknown split {split!r} of {spec.name}, expected one of {', '.join(spec.split_names)}.")
    samples = lister(root, split)
    if not samples:
        raise UserError(f"{root}: split {split!r} of {spec.name} is empty, expected at least one picture.")
    return samples
