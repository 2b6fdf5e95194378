"""IoU by the size of objects: which of them the network misses."""

from __future__ import annotations

import cv2
import numpy as np

SIZES = ("small", "medium", "large")
LIMITS = (32**2, 96**2)  # pixels of an object's area, COCO's


def size_counts(label: np.ndarray, prediction: np.ndarray, num_classes: int, ignore_label: int = 255) -> np.ndarray:
    """Pixels of one picture by class and size of object; an object is a connected region (8 neighbours) of one class.

    A true pixel counts with its object's size; one predicted where the class is not with that of the region it was predicted
    in, so that every wrong pixel is counted once.

    Args:
      label: integer [height, width] true ids 0..K-1 and `ignore_label`; void pixels change nothing.
      prediction: integer [height, width] predicted ids.
      num_classes: K.
      ignore_label: id of void pixels.

    Returns:
      int64 [K, 3, 3]: by class and size, pixels found, true, and wrongly predicted.
    """
    prediction = np.where(label == ignore_label, ignore_label, prediction)
    counts = np.zeros((num_classes, len(SIZES), 3), np.int64)
    for k in range(num_classes):
        true, predicted = label == k, prediction == k
        if true.any():
            size = _size_of(true)
            counts[k, :, 0], counts[k, :, 1] = _by_size(size, true & predicted), _by_size(size, true)
        if predicted.any():
            counts[k, :, 2] = _by_size(_size_of(predicted), predicted & ~true)
    return counts


def size_iou(counts: np.ndarray) -> np.ndarray:
    """float64 [K, 3] IoU by class and size of summed counts [K, 3, 3]; NaN where there is no such object."""
    found, true, wrong = np.moveaxis(counts.astype(np.float64), -1, 0)
    return np.divide(found, true + wrong, out=np.full(found.shape, np.nan), where=true + wrong > 0)


def _size_of(mask: np.ndarray) -> np.ndarray:
    """Place in `SIZES` of the region that each pixel of the mask lies in."""
    _, regions, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.searchsorted(LIMITS, statistics[:, cv2.CC_STAT_AREA], side="right")[regions]


def _by_size(size: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return np.bincount(size[pixels], minlength=len(SIZES))
