"""VOC 2012 with the SBD annotations: train_aug = (SBD train + SBD val + VOC train) minus VOC val = 10,582 pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.prepare.sources import Task, field, find, read_ids, require, stems, voc_pictures
from deeplab_tf.errors import UserError


def tasks(sources: Sequence[pathlib.Path]) -> dict[str, list[Task]]:
    """Splits train, val, train_aug, trainval_aug; VOC's own mask (it has void outlines) wherever there is one."""
    pictures = voc_pictures(sources)
    own = require(sources, "SegmentationClass", what="VOC's masks")
    val = read_ids(require(sources, "ImageSets/Segmentation/val.txt", what="VOC's val list"))
    train_list = find(sources, "ImageSets/Segmentation/train.txt")
    train = read_ids(train_list) if train_list else []
    ready = find(sources, "SegmentationClassAug")
    sbd = find(sources, "cls")
    if ready is None and sbd is None:
        raise UserError("--source: found neither SBD's cls/*.mat nor SegmentationClassAug/*.png; see data/README.md.")
    extra = stems(ready, ".png") if ready else sbd_ids(sbd)

    def task(name: str) -> Task:
        image = str(pictures / f"{name}.jpg")
        for folder in (own, ready):
            if folder is not None and (folder / f"{name}.png").is_file():
                return Task(name, image, ready=str(folder / f"{name}.png"))
        if sbd is None:
            raise UserError(
                f"{own / name}.png: the mask of {name!r} is missing, nor is one in {ready}; add it or take the id off the list."
            )
        annotation = str(sbd / f"{name}.mat")
        return Task(name, image, read_sbd_mask, (annotation,), annotation=annotation)

    train_aug = augmented_ids(extra, train, val)
    splits = {"train": train, "val": val, "train_aug": train_aug, "trainval_aug": train_aug + val}
    return {split: [task(name) for name in ids] for split, ids in splits.items() if ids}


def augmented_ids(sbd: Sequence[str], voc_train: Sequence[str], voc_val: Sequence[str]) -> list[str]:
    """(SBD + VOC train) minus VOC val, sorted."""
    return sorted((set(sbd) | set(voc_train)) - set(voc_val))


def sbd_ids(cls: pathlib.Path) -> list[str]:
    """Ids of SBD train and val: its two lists, or every .mat file where the lists are not there."""
    lists = [cls.parent / f"{split}.txt" for split in ("train", "val")]
    if all(path.is_file() for path in lists):
        return [name for path in lists for name in read_ids(path)]
    return stems(cls, ".mat")


def read_sbd_mask(path: str) -> np.ndarray:
    """uint8 [height, width] VOC ids from SBD's GTcls.Segmentation."""
    return field(path, "GTcls", "Segmentation").astype(np.uint8)
