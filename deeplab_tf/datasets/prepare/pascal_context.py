"""PASCAL-Context: 59 classes and background out of the 459 labels of the published .mat files."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.label_tables import PASCAL_CONTEXT
from deeplab_tf.datasets.prepare.sources import Task, field, find, require, split_lists, stems, voc_pictures
from deeplab_tf.errors import UserError

# Names of the 459-label list that differ from those of the 59.
_OTHER_NAMES = {"diningtable": "table", "bedclothes": "bedcloth", "clothes": "cloth"}


def tasks(sources: Sequence[pathlib.Path]) -> dict[str, list[Task]]:
    """Splits train and val of VOC 2010; ready 60-id masks are taken where a folder of them is there."""
    pictures = voc_pictures(sources)
    ready = find(sources, "SegmentationClassContext")
    if ready is not None:
        made = {
            name: Task(name, str(pictures / f"{name}.jpg"), ready=str(ready / f"{name}.png")) for name in stems(ready, ".png")
        }
    else:
        folder = require(sources, "trainval", what="the 459-label .mat files of PASCAL-Context")
        table = class_table(require(sources, "labels.txt", what="the names of the 459 labels"))
        made = {}
        for name in stems(folder, ".mat"):
            annotation = str(folder / f"{name}.mat")
            made[name] = Task(name, str(pictures / f"{name}.jpg"), read_mask, (annotation, table), annotation=annotation)
    return {split: [made[name] for name in ids] for split, ids in split_lists(sources, sorted(made)).items()}


def class_table(labels_file: pathlib.Path) -> np.ndarray:
    """uint8 [460]: class 0..59 of each of the 459 labels, from the list "number: name" that comes with the data.

    Raises:
      UserError: a line that cannot be read, or a class whose name is not on the list.
    """
    numbers = {}
    for line in labels_file.read_text(encoding="utf-8").splitlines():
        number, colon, name = line.partition(":")
        if colon and number.strip().isdigit():
            numbers[name.replace(" ", "").lower()] = int(number)
    table = np.zeros(max(460, max(numbers.values(), default=0) + 1), np.uint8)
    for label in PASCAL_CONTEXT[1:]:
        number = numbers.get(label.name, numbers.get(_OTHER_NAMES.get(label.name, "")))
        if number is None:
            raise UserError(f"{labels_file}: no label {label.name!r}, expected the published list of 459 `number: name` lines.")
        table[number] = label.train_id
    return table


def read_mask(path: str, table: np.ndarray) -> np.ndarray:
    """uint8 [height, width] ids 0..59; labels outside the 59 are background."""
    values = field(path, "LabelMap")
    if values.max(initial=0) >= len(table):
        raise UserError(f"{path}: label {values.max()} found, expected 0..{len(table) - 1}.")
    return table[values]
