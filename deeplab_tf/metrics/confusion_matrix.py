"""Segmentation metrics, all of them read off one confusion matrix.

There is ONE matrix for the whole set, counted pixel by pixel at the pictures' own size. Averaging the IoU of single
pictures gives another, usually flattering, number.
"""

from collections.abc import Iterable

import numpy as np


class ConfusionMatrix:
    """Counts of (true class, predicted class) over the pixels whose label is not `ignore_label`.

    Args:
        num_classes: K; true and predicted ids run over 0..K-1.
        ignore_label: id of unlabelled (void) pixels, which are not counted; None counts every pixel.

    Raises:
        ValueError: `num_classes` is below 1.
    """

    def __init__(self, num_classes: int, ignore_label: int | None = 255):
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}, expected at least 1")
        self.num_classes = int(num_classes)
        self.ignore_label = ignore_label
        self.ignored_classes: tuple[int, ...] = ()
        self._counts = np.zeros((self.num_classes, self.num_classes), np.int64)

    @property
    def matrix(self) -> np.ndarray:
        """int64 [K, K] pixel counts; rows are the true class, columns the predicted one. A copy."""
        return self._counts.copy()

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, ignore_label: int | None = 255) -> "ConfusionMatrix":
        """A ConfusionMatrix with the counts of `matrix` (integers [K, K], rows are the true class)."""
        matrix = np.asarray(matrix)
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
        if not square or not np.issubdtype(matrix.dtype, np.integer) or (matrix < 0).any():
            raise ValueError(f"matrix is {matrix.dtype} {list(matrix.shape)}, expected counts (integers) of shape [K, K]")
        result = cls(len(matrix), ignore_label)
        result._counts += matrix
        return result

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Adds the pixels of one picture or batch.

        Args:
            labels: integer array of any shape, true ids 0..K-1 or `ignore_label`.
            predictions: integer array of the same shape, predicted ids 0..K-1.

        Raises:
            ValueError: shapes differ, a dtype is not an integer one, or an id is out of range.
        """
        self._counts += self._count(labels, predictions)
        self._counts[list(self.ignored_classes)] = 0

    def ignoring(self, classes: Iterable[int]) -> "ConfusionMatrix":
        """A copy in which these true classes are void too: their pixels are not counted and they have no IoU.

        Predicting one of them where another class is true stays a mistake of that class. What is added later counts likewise.
        """
        result = ConfusionMatrix.from_matrix(self._counts, self.ignore_label)
        result.ignored_classes = tuple(sorted({*self.ignored_classes, *classes}))
        result._counts[list(result.ignored_classes)] = 0
        return result

    def _count(self, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        labels = _integers("labels", labels)
        predictions = _integers("predictions", predictions)
        if labels.shape != predictions.shape:
            raise ValueError(
                f"labels have shape {list(labels.shape)} and predictions {list(predictions.shape)}, expected the same shape: "
                "metrics are counted at the picture's own size"
            )
        labels, predictions, lengths = _runs(labels.ravel(), predictions.ravel())
        if self.ignore_label is not None:
            valid = labels != self.ignore_label
            labels, predictions, lengths = labels[valid], predictions[valid], lengths[valid]
        self._check_range("labels", labels, or_ignored=True)
        self._check_range("predictions", predictions)
        k = self.num_classes
        pairs = labels.astype(np.intp) * k + predictions.astype(np.intp)
        return np.bincount(pairs, weights=lengths, minlength=k * k).astype(np.int64).reshape(k, k)

    def _check_range(self, name: str, ids: np.ndarray, or_ignored: bool = False) -> None:
        if not ids.size:
            return
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= self.num_classes:
            wrong = low if low < 0 else high
            ignored = f" or {self.ignore_label} (ignored)" if or_ignored and self.ignore_label is not None else ""
            raise ValueError(f"{name} hold the id {wrong}, expected 0..{self.num_classes - 1}{ignored}")

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        """The counts of both; for sets that were evaluated in parts."""
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        if (other.num_classes, other.ignore_label, other.ignored_classes) != (
            self.num_classes, self.ignore_label, self.ignored_classes
        ):  # fmt: skip
            raise ValueError(
                f"cannot add a confusion matrix of {other.num_classes} classes (ignore_label {other.ignore_label}, ignored "
                f"{other.ignored_classes}) to one of {self.num_classes} classes (ignore_label {self.ignore_label}, ignored "
                f"{self.ignored_classes})"
            )
        return ConfusionMatrix.from_matrix(self._counts + other._counts, self.ignore_label).ignoring(self.ignored_classes)

    def iou(self) -> np.ndarray:
        """float64 [K] intersection over union, 0..1; NaN for a class that is neither in the labels nor predicted, or
        ignored."""
        hits = np.diag(self._counts)
        iou = _ratio(hits, self._counts.sum(axis=0) + self._counts.sum(axis=1) - hits)
        iou[list(self.ignored_classes)] = np.nan
        return iou

    def mean_iou(self, empty: str = "skip") -> float:
        """Mean IoU over the classes, 0..1; NaN when nothing was counted.

        Args:
            empty: how a class with an empty union counts: "skip" leaves it out (PASCAL VOC's evaluation), "one"
                counts it as 1 (the Caffe release of DeepLab), which flatters sets that lack classes.
        """
        iou = np.delete(self.iou(), self.ignored_classes)
        if empty not in ("skip", "one"):
            raise ValueError(f'empty is {empty!r}, expected "skip" (VOC: left out) or "one" (Caffe: counts as 1)')
        if np.isnan(iou).all():
            return float("nan")
        return float(np.nanmean(iou) if empty == "skip" else np.nan_to_num(iou, nan=1.0).mean())

    def pixel_accuracy(self) -> float:
        """Share of the counted pixels whose class is right, 0..1; NaN when nothing was counted."""
        return float(_ratio(np.trace(self._counts), self._counts.sum()))

    def class_accuracy(self) -> np.ndarray:
        """float64 [K] share of each true class' pixels that are found (recall), 0..1; NaN for a class not in the labels."""
        return _ratio(np.diag(self._counts), self._counts.sum(axis=1))

    def mean_accuracy(self) -> float:
        """Mean of `class_accuracy` over the classes in the labels, 0..1; NaN when nothing was counted."""
        accuracy = self.class_accuracy()
        return float("nan") if np.isnan(accuracy).all() else float(np.nanmean(accuracy))

    def frequency_weighted_iou(self) -> float:
        """IoU of the classes weighted by their share of the labels, 0..1; NaN when nothing was counted."""
        frequency = _ratio(self._counts.sum(axis=1), self._counts.sum())
        return float(np.sum(np.where(frequency == 0, 0.0, frequency * self.iou())))

    def class_frequency(self) -> np.ndarray:
        """float64 [K] share of each class in the labels, 0..1."""
        return _ratio(self._counts.sum(axis=1), self._counts.sum())

    def predicted_frequency(self) -> np.ndarray:
        """float64 [K] share of each class in the predictions (on counted pixels), 0..1."""
        return _ratio(self._counts.sum(axis=0), self._counts.sum())


def _runs(labels: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(label, predicted id, length) of every run of equal pixels in two arrays [pixels]: label maps have few, and counting
    those instead of pixels is several times faster."""
    if not labels.size:
        return labels, predictions, np.zeros(0, np.intp)
    changes = labels[1:] != labels[:-1]
    changes |= predictions[1:] != predictions[:-1]
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return labels[starts], predictions[starts], np.diff(starts, append=labels.size)


def _integers(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} are {array.dtype}, expected an integer type: class ids, not probabilities")
    return array


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0)
