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
    counts = np.zeros((num_classes, len(SIZES), 3), np.int64)
    void = label == ignore_label
    for k in range(num_classes):
        true, predicted = label == k, (prediction == k) & ~void
        if true.any():
            place = _window(true)
            size, regions, areas = _regions(true[place])
            missed = np.bincount(regions[true[place] & ~predicted[place]], minlength=len(areas))
            counts[k, :, 0], counts[k, :, 1] = _by_size(size, areas - missed), _by_size(size, areas)
        if predicted.any():
            place = _window(predicted)
            size, regions, areas = _regions(predicted[place])
            wrong = np.bincount(regions[predicted[place] & ~true[place]], minlength=len(areas))
            counts[k, :, 2] = _by_size(size, wrong)
    return counts


def size_iou(counts: np.ndarray) -> np.ndarray:
    """float64 [K, 3] IoU by class and size of summed counts [K, 3, 3]; NaN where there is no such object."""
    found, true, wrong = np.moveaxis(counts.astype(np.float64), -1, 0)
    return np.divide(found, true + wrong, out=np.full(found.shape, np.nan), where=true + wrong > 0)


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the mask."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(top, top + height), slice(left, left + width)


def _regions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(place in `SIZES` by region, region of every pixel, area by region); region 0 is what lies outside, of no area."""
    _, regions = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)  # its variant with areas takes six times as long
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    return np.searchsorted(LIMITS, areas, side="right"), regions, areas


def _by_size(size: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return np.bincount(size, weights=pixels, minlength=len(SIZES)).astype(np.int64)
