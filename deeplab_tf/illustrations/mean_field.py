"""Figure 5: how the scores of one class and the belief in it change with the iterations of the mean field."""

from __future__ import annotations

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.strip import trace_strip
from deeplab_tf.pages.sheets import Cell, Row, sheet

ITERATIONS = (0, 1, 2, 10)  # Fig. 5's; of a CRF with fewer the last


def mean_field_sheet(crf: DenseCRF, image: np.ndarray, truth: np.ndarray, probabilities: np.ndarray, class_index: int):
    """The picture above the truth, beside them score maps above belief maps.

    Args:
      crf: of at least one iteration.
      image: uint8 [height, width, 3] RGB.
      truth: bool [height, width], where the class is.
      probabilities: float [height, width, K].
      class_index: whose maps are drawn.

    Returns:
      uint8 [height, 1000, 3].
    """
    _, trace = crf(image, probabilities, iterations_trace=True)
    shown = sorted({min(n, len(trace.scores) - 1) for n in ITERATIONS})
    maps = [np.hsplit(row, len(shown)) for row in np.vsplit(trace_strip(trace, class_index, shown), 2)]
    where = np.repeat(np.where(truth, 255, 0).astype(np.uint8)[..., None], 3, axis=-1)
    rows = [Row([Cell(image), *map(Cell, maps[0])], "score"), Row([Cell(where, sharp=True), *map(Cell, maps[1])], "belief")]
    names = ["network" if n == 0 else f"iteration {n}" for n in shown]
    return sheet(rows, ("picture, truth", *names))
