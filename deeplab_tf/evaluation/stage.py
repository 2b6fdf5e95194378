"""What is counted of one stage of an evaluation: the predictions before the CRF, or those after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeplab_tf.evaluation.object_size import SIZES, size_counts
from deeplab_tf.metrics.boundary_f1 import boundary_counts
from deeplab_tf.metrics.cityscapes import instance_weights
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve

NEAR = 5  # pixels: the band that "near" counts; between the two examples of Fig. 10, 2 and 10


class Stage:
    """Counts over a set; those of single pictures are kept as well.

    Args:
      spec: a DatasetSpec.
      trimap: definition of the boundary band, None for no curve.
      ignored: train ids that count as void and have no IoU.

    Attributes:
      counts: the confusion matrix of the set.
      curve: the TrimapCurve, or None.
      sizes: int64 [K, 3, 3], see `size_counts`.
    """

    def __init__(self, spec, trimap: str | None = None, ignored: Sequence[int] = ()):
        self._spec, self._ignored = spec, list(ignored)
        self.counts = ConfusionMatrix(spec.num_classes, spec.ignore_label).ignoring(ignored)
        self.curve = None if trimap is None else TrimapCurve(spec.num_classes, trimap, ignore_label=spec.ignore_label)
        self.sizes = np.zeros((spec.num_classes, len(SIZES), 3), np.int64)
        self._pictures: dict[str, list[np.ndarray]] = {"classes": [], "boundary": [], "instances": []}
        if self.curve is not None:
            self._pictures["near"] = []

    def add(self, label: np.ndarray, ids: np.ndarray, instances: np.ndarray | None = None) -> None:
        """Counts one picture: true and predicted ids and the instance map where there is one, integer [height, width]."""
        spec = self._spec
        one = ConfusionMatrix(spec.num_classes, spec.ignore_label).ignoring(self._ignored)
        one.update(label, ids)
        if self._ignored:
            label = np.where(np.isin(label, self._ignored), spec.ignore_label, label)
        self.counts = self.counts + one
        self._pictures["classes"].append(_by_class(one.matrix))
        self._pictures["boundary"].append(boundary_counts(label, ids, spec.num_classes, spec.ignore_label))
        self.sizes += size_counts(label, ids, spec.num_classes, spec.ignore_label)
        if self.curve is not None:
            curve = TrimapCurve(spec.num_classes, self.curve.definition, ignore_label=spec.ignore_label)
            curve.update(label, ids)
            self.curve.add_rings(curve.rings)
            self._pictures["near"].append(_by_class(curve.band(NEAR).matrix))
        if instances is not None:
            categories = [one.category for one in spec.classes]
            self._pictures["instances"].append(instance_weights(instances, ids, spec.train_id_of, spec.class_names, categories))

    def of_pictures(self, what: str = "classes") -> np.ndarray:
        """Of every picture: "classes" int64 [pictures, 3, K], pixels right, true and predicted; "boundary" int64
        [pictures, 4, K], see `boundary_counts`; "instances" float64 [pictures or 0, 4, K], see `instance_weights`; with a
        curve also "near", as "classes" within NEAR pixels of a boundary."""
        rows = {"classes": 3, "near": 3, "boundary": 4, "instances": 4}[what]
        found = self._pictures[what]
        return np.stack(found) if found else np.zeros((0, rows, self._spec.num_classes))

    def state(self) -> dict[str, np.ndarray]:
        """All counts, for a file."""
        curve = {} if self.curve is None else {"rings": self.curve.rings}
        return (
            {"matrix": self.counts.matrix, "sizes": self.sizes}
            | curve
            | {what: self.of_pictures(what) for what in self._pictures}
        )

    def add_state(self, state: dict[str, np.ndarray]) -> None:
        """Adds the counts of another part of the set."""
        more = ConfusionMatrix.from_matrix(state["matrix"], self._spec.ignore_label)
        self.counts = self.counts + more.ignoring(self._ignored)
        self.sizes = self.sizes + state["sizes"]
        if self.curve is not None:
            self.curve.add_rings(state["rings"])
        for what, rows in self._pictures.items():
            rows.extend(state[what])

    def sort(self, order: np.ndarray) -> None:
        """Puts the pictures into this order: figures that are sums of fractions do not depend on how the set was cut."""
        for what, rows in self._pictures.items():
            self._pictures[what] = [rows[place] for place in order] if rows else rows


def _by_class(matrix: np.ndarray) -> np.ndarray:
    """[3, K] of a confusion matrix [K, K]: pixels right, true and predicted."""
    return np.stack([np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)])
