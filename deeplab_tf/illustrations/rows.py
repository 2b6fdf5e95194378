"""Figures 6, 8, 9 and 14: a picture, its truth and predictions in a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from deeplab_tf.datasets.colors import train_id_colors
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.pages.pictures import overlay
from deeplab_tf.pages.sheets import Cell, Row, sheet

_CLEAR = (240, 242, 246)  # void
_PALE = 128  # of black


@dataclasses.dataclass(frozen=True)
class Shown:
    """One picture with predictions.

    Attributes:
      id: its name; `why` it is shown.
      image: uint8 [height, width, 3] RGB.
      label: integer [height, width] true ids.
      predictions: name -> (integer [height, width] ids, mean IoU of the picture, 0..1).
    """

    id: str
    why: str
    image: np.ndarray
    label: np.ndarray
    predictions: Mapping[str, tuple[np.ndarray, float]]


def rows_of(spec: DatasetSpec, pictures: Sequence[Shown]) -> np.ndarray:
    """uint8 [height, 1000, 3]: a row for each picture, the legend of the classes that occur."""
    colors = label_colors(spec)
    rows, present = [], set()
    for shown in pictures:
        maps = {"truth": (shown.label, None), **shown.predictions}
        present.update(*(np.unique(ids).tolist() for ids, _ in maps.values()))
        cells = [Cell(shown.image)]
        cells += [
            Cell(painted(shown.image, ids, colors), "" if score is None else f"{100 * score:.1f} %", sharp=True)
            for ids, score in maps.values()
        ]
        rows.append(Row(cells, f"{shown.why}: {shown.id}"))
    return sheet(rows, ("picture", "truth", *pictures[0].predictions), legend_of(spec, present))


def label_colors(spec: DatasetSpec) -> np.ndarray:
    """uint8 [256, 3]: the colours of train ids, void pale."""
    colors = train_id_colors(spec)
    colors[spec.ignore_label] = _CLEAR
    return colors


def painted(image: np.ndarray, ids: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The classes over the picture in pale grey, so that its own colours do not mix with theirs."""
    grey = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    return overlay((_PALE + grey / 2).astype(np.uint8), ids, colors)


def legend_of(spec: DatasetSpec, ids: Collection[int]) -> list[tuple[str, tuple[int, int, int]]]:
    """(name, colour as `painted` has it over a middle grey) of the classes among `ids`, and of void where it is there."""
    named = {k: name for k, name in (*enumerate(spec.class_names), (spec.ignore_label, "void")) if k in ids}
    middle = np.full((1, len(named), 3), 128, np.uint8)
    swatches = painted(middle, np.array([list(named)]), label_colors(spec))[0].tolist()
    return [(name, tuple(color)) for name, color in zip(named.values(), swatches, strict=True)]
