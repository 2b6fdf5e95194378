"""Metrics by loops over pixels and classes, straight from their definitions."""

import math


def confusion(labels, predictions, num_classes, ignore_label):
    matrix = [[0] * num_classes for _ in range(num_classes)]
    for label, prediction in zip(labels.ravel().tolist(), predictions.ravel().tolist(), strict=True):
        if label != ignore_label:
            matrix[label][prediction] += 1
    return matrix


def iou(labels, predictions, num_classes, ignore_label):
    """Intersection over union of pixel SETS, class by class; NaN for an empty union."""
    pixels = list(zip(labels.ravel().tolist(), predictions.ravel().tolist(), strict=True))
    result = []
    for c in range(num_classes):
        truth = {i for i, (label, _) in enumerate(pixels) if label == c}
        found = {i for i, (label, prediction) in enumerate(pixels) if prediction == c and label != ignore_label}
        union = truth | found
        result.append(len(truth & found) / len(union) if union else math.nan)
    return result
