"""How well the contours of a segmentation lie: the F1 of boundary pixels (Csurka et al., What is a good evaluation measure for
semantic segmentation?, BMVC 2013), with the tolerance that SegNet's tables use."""

import numpy as np

from deeplab_tf.metrics.trimap import beside_another_label

TOLERANCE = 0.0075  # of the picture's diagonal


def boundary_counts(
    label: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_label: int = 255, tolerance: float = TOLERANCE
) -> np.ndarray:
    """What the F1 of one picture is made of.

    A class' boundary pixels are those beside (left, right, above, below) a pixel of another class; a step to void is none,
    and what is predicted on void pixels counts as void.

    Args:
      label: integer [height, width] true ids 0..K-1 and `ignore_label`.
      prediction: integer [height, width] predicted ids.
      num_classes: K.
      ignore_label: id of void pixels.
      tolerance: of distances, as a share of the picture's diagonal.

    Returns:
      int64 [4, K]: predicted boundary pixels within the tolerance of a true one, all predicted ones, true ones within the
      tolerance of a predicted one, all true ones.
    """
    label, prediction = np.asarray(label), np.asarray(prediction)
    void = label == ignore_label
    height, width = label.shape
    reach = tolerance * np.hypot(height, width)
    stride = width + 2 * int(reach) + 2  # so far apart that no reach meets the next row
    places = []
    for ids in (prediction, label):
        rows, columns = np.nonzero(beside_another_label(np.where(void, ignore_label, ids), void))
        places.append((ids[rows, columns], rows * stride + columns))
    counts = np.zeros((4, num_classes), np.int64)
    for k in np.unique(np.concatenate([ids for ids, _ in places])):
        predicted, true = (flat[ids == k] for ids, flat in places)
        counts[:, k] = _near(predicted, true, reach, stride), predicted.size, _near(true, predicted, reach, stride), true.size
    return counts


def boundary_f1(counts: np.ndarray) -> np.ndarray:
    """float64 [..., K] F1 in 0..1 of counts [..., 4, K] of pictures; NaN for a class without a true boundary."""
    near_predicted, predicted, near_true, true = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    precision = near_predicted / np.maximum(predicted, 1)
    recall = near_true / np.maximum(true, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return np.where(true > 0, f1, np.nan)


def _near(places: np.ndarray, others: np.ndarray, reach: float, stride: int) -> int:
    """How many of the sorted `places` (row * stride + column) have one of the sorted `others` within `reach` pixels."""
    left, found = places, 0
    if not others.size:
        return 0
    for step in range(int(reach) + 1):
        half = int(np.sqrt(reach**2 - step**2))
        for offset in {-step * stride, step * stride}:
            first = np.searchsorted(others, left + offset - half)
            close = others[np.minimum(first, others.size - 1)]
            hit = (first < others.size) & (close <= left + offset + half)
            found += int(hit.sum())
            left = left[~hit]
        if not left.size:
            break
    return found
