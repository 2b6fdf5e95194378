"""mIoU of masks before and after, where true ones are given."""

import numpy as np

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix

_IDS = 256


class Tally:
    """Counts labels, given and refined, against the truth.

    A pixel that a mask leaves without a label counts as missed by its class. Classes that occur in neither are left out,
    as PASCAL VOC does.
    """

    def __init__(self, unsure: int | None):
        self.pictures, self._unsure = 0, unsure
        self._before, self._after = (ConfusionMatrix(_IDS, unsure) for _ in range(2))

    def update(self, truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Part of one picture: uint8 [rows, columns] each."""
        self._before.update(truth, before)
        self._after.update(truth, after)

        self.pictures = self.pictures or 1

    def add(self, other: "Tally") -> None:
        """The counts of another picture, or of several."""
        self.pictures += other.pictures
        self._before, self._after = self._before + other._before, self._after + other._after

    def ids(self) -> tuple[set[int], set[int]]:
        """What the true masks hold, and what the given ones hold where those are not void."""
        counts = self._before.matrix
        return tuple(set(np.flatnonzero(counts.sum(axis=axis)).tolist()) - {self._unsure} for axis in (1, 0))

    def results(self) -> dict:
        """{"before", "after"}: each mean_iou, pixel_accuracy and unlabelled as fractions 0..1, and per_class_iou by id."""
        return {name: self._summary(matrix) for name, matrix in (("before", self._before), ("after", self._after))}

    def _summary(self, matrix: ConfusionMatrix) -> dict:
        iou, predicted = matrix.iou(), matrix.predicted_frequency()
        unlabelled = 0.0
        if self._unsure is not None:  # no class, so it has no IoU
            iou[self._unsure], unlabelled = np.nan, float(predicted[self._unsure])
        present = np.flatnonzero(~np.isnan(iou))
        return {
            "mean_iou": float(iou[present].mean()) if present.size else None,
            "pixel_accuracy": matrix.pixel_accuracy(),
            "unlabelled": unlabelled,
            "per_class_iou": {str(index): float(iou[index]) for index in present},
        }
