"""The one table from ids to colours: of label maps, mask files, overlays and pages. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.label_tables import VOID
from deeplab_tf.datasets.specs import DatasetSpec

Color = tuple[int, int, int]


def color_table(
    palette: Sequence[Color], ids: Sequence[int] | None = None, *, void_color: Color | None = None, ignore_label: int = VOID
) -> np.ndarray:
    """uint8 [256, 3]: the RGB of every value that a label map may hold.

    `table[labels]` paints a map, uint8 [height, width, 3]; `table.tobytes()` is a palette for `Image.putpalette`.

    Args:
      palette: RGB of every class, each 0..255, such as `spec.palette`.
      ids: the value of each class in the map, such as `spec.ids`; those outside 0..255 have no row. None: 0, 1, 2, …
      void_color: RGB of `ignore_label`, such as `spec.void_color`, unless a class has that value; None: black, as all values
        of no class are.
      ignore_label: value of void pixels.
    """
    table = np.zeros((256, 3), np.uint8)
    if void_color is not None:
        table[ignore_label] = void_color
    for value, color in zip(range(len(palette)) if ids is None else ids, palette, strict=True):
        if 0 <= value < 256:
            table[value] = color
    return table


def train_id_colors(spec: DatasetSpec) -> np.ndarray:
    """The table of maps of train ids: what `read_label` gives and the networks predict."""
    return color_table(spec.palette, void_color=spec.void_color, ignore_label=spec.ignore_label)


def mask_colors(spec: DatasetSpec) -> np.ndarray:
    """The table of mask files: the data set's own ids, those of void too."""
    colors, ids = [label.color for label in spec.labels], [label.id for label in spec.labels]
    return color_table(colors, ids, void_color=spec.void_color, ignore_label=spec.ignore_label)
