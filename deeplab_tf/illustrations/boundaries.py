"""Figure 10: bands round the boundaries of objects, and the mean IoU in them by their width."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.illustrations.rows import label_colors, legend_of, painted
from deeplab_tf.metrics.trimap import TrimapCurve, boundary_distance
from deeplab_tf.pages.chart import Chart, Line
from deeplab_tf.pages.sheets import Cell, Row, sheet

WIDTHS = (2, 10)  # pixels, the examples of Fig. 10


def trimap_sheet(spec: DatasetSpec, image: np.ndarray, label: np.ndarray, definition: str) -> np.ndarray:
    """uint8 [height, 1000, 3]: picture, truth, and the truth within 2 and 10 pixels of a boundary.

    Args:
      spec: the label table.
      image: uint8 [height, width, 3] RGB.
      label: integer [height, width] true ids.
      definition: of the band, see `deeplab_tf.metrics.trimap`.
    """
    colors = label_colors(spec)
    distance = boundary_distance(label, definition, spec.ignore_label)
    truth = painted(image, label, colors)
    bands = [np.where(((distance >= 1) & (distance <= width))[..., None], truth, 255).astype(np.uint8) for width in WIDTHS]
    cells = [Cell(image), *(Cell(picture, sharp=True) for picture in (truth, *bands))]
    names = ("picture", "truth", *(f"band of {width} pixels" for width in WIDTHS))
    return sheet([Row(cells)], names, legend_of(spec, np.unique(label).tolist()))


def trimap_chart(curves: Mapping[str, Mapping[str, TrimapCurve]]) -> Chart:
    """Network -> stage ("before", "after" the CRF) -> curve; a network's colour is one, before the CRF drawn thin."""
    lines = []
    for k, (name, stages) in enumerate(curves.items()):
        for stage, curve in stages.items():
            percent = [100 * value for value in curve.mean_iou()]
            title = f"{name} + CRF" if stage == "after" else name
            lines.append(Line(title, range(len(percent)), percent, (k + 1) % 6, pale=stage == "before"))
    return Chart("Mean IoU, %, by the width of the band in pixels", lines, from_zero=False)
