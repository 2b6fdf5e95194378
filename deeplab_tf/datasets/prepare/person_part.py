"""PASCAL-Person-Part: six parts of the body merged from the PASCAL-Part .mat files; only pictures with people."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.prepare.sources import Task, find, read_mat, require, split_lists, stems, voc_pictures

HEAD, TORSO, UPPER_ARMS, LOWER_ARMS, UPPER_LEGS, LOWER_LEGS = range(1, 7)
# The merging of the published masks (Chen et al., "Attention to Scale", CVPR 2016).
PART_IDS = (
    dict.fromkeys("head leye reye lear rear lebrow rebrow nose mouth hair".split(), HEAD)
    | dict.fromkeys(("torso", "neck"), TORSO)
    | dict.fromkeys(("luarm", "ruarm"), UPPER_ARMS)
    | dict.fromkeys(("llarm", "rlarm", "lhand", "rhand"), LOWER_ARMS)
    | dict.fromkeys(("luleg", "ruleg"), UPPER_LEGS)
    | dict.fromkeys(("llleg", "rlleg", "lfoot", "rfoot"), LOWER_LEGS)
)


def tasks(sources: Sequence[pathlib.Path]) -> dict[str, list[Task]]:
    """Splits train and val of VOC 2010; ready 7-id masks are taken where only those are there."""
    pictures = voc_pictures(sources)
    folder = find(sources, "Annotations_Part")
    ready = find(sources, "pascal_person_part_gt", "SegmentationPart")
    if folder is None:
        ready = ready or require(sources, "Annotations_Part", "pascal_person_part_gt", what="PASCAL-Part's .mat files or masks")
    made = {}
    if folder is not None:
        for name in stems(folder, ".mat"):
            annotation = str(folder / f"{name}.mat")
            made[name] = Task(name, str(pictures / f"{name}.jpg"), read_mask, (annotation,), annotation=annotation)
    if ready is not None:
        for name in stems(ready, ".png"):
            made[name] = Task(name, str(pictures / f"{name}.jpg"), ready=str(ready / f"{name}.png"))
    return {split: [made[name] for name in ids] for split, ids in split_lists(sources, sorted(made)).items()}


def read_mask(path: str) -> np.ndarray | None:
    """uint8 [height, width] ids 0..6; None where no person has parts."""
    return merge_parts(np.atleast_1d(read_mat(path)["anno"].objects))


def merge_parts(objects: Sequence) -> np.ndarray | None:
    """Paints the parts of every person, in file order; objects have `class`, and parts with `part_name` and `mask`."""
    merged = None
    for thing in objects:
        if getattr(thing, "class") != "person":
            continue
        for part in np.atleast_1d(thing.parts):
            mask = np.asarray(part.mask) > 0
            merged = np.zeros(mask.shape, np.uint8) if merged is None else merged
            merged[mask] = PART_IDS[part.part_name]
    return merged
