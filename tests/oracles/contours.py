"""Boundary F1 and IoU by the size of objects, by looking at every pixel."""

import numpy as np


def boundary_f1(label, prediction, num_classes, ignore_label, reach):
    void = label == ignore_label
    prediction = np.where(void, ignore_label, prediction)
    result = np.full(num_classes, np.nan)
    for k in range(num_classes):
        true, predicted = (_boundary(ids, k, ignore_label) for ids in (label, prediction))
        if true:
            precision = np.mean([_near(p, true, reach) for p in predicted]) if predicted else 0.0
            recall = np.mean([_near(p, predicted, reach) for p in true])
            result[k] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return result


def _boundary(ids, k, ignore_label):
    height, width = ids.shape
    found = []
    for y, x in zip(*np.nonzero(ids == k), strict=True):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < height and 0 <= u < width and ids[v, u] not in (k, ignore_label):
                found.append((y, x))
                break
    return found


def _near(place, others, reach):
    return any((place[0] - y) ** 2 + (place[1] - x) ** 2 <= reach**2 for y, x in others)


def size_iou(label, prediction, k, low, high, ignore_label):
    """IoU of class k's objects of low <= area < high pixels."""
    prediction = np.where(label == ignore_label, ignore_label, prediction)
    true, predicted = _areas(label == k), _areas(prediction == k)
    inside = (true >= low) & (true < high) & (true > 0)
    wrong = (predicted >= low) & (predicted < high) & (predicted > 0) & (label != k)
    whole = inside.sum() + wrong.sum()
    return (inside & (prediction == k)).sum() / whole if whole else np.nan


def _areas(mask):
    """The area of the region (8 neighbours) that each pixel lies in, 0 outside."""
    areas = np.zeros(mask.shape, int)
    for start in zip(*np.nonzero(mask), strict=True):
        if areas[start]:
            continue
        region, waiting = {start}, [start]
        while waiting:
            y, x = waiting.pop()
            for v in range(max(y - 1, 0), min(y + 2, mask.shape[0])):
                for u in range(max(x - 1, 0), min(x + 2, mask.shape[1])):
                    if mask[v, u] and (v, u) not in region:
                        region.add((v, u))
                        waiting.append((v, u))
        for place in region:
            areas[place] = len(region)
    return areas
