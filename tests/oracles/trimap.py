"""Bands round object boundaries by looking at every pixel's square neighbourhood."""

import numpy as np


def band(label, width, definition, ignore_label):
    height, columns = label.shape
    result = np.zeros(label.shape, bool)
    reach = width if definition == "void" else width - 1
    for y in range(height):
        for x in range(columns):
            if label[y, x] == ignore_label or reach < 0:
                continue
            for v in range(max(0, y - reach), min(height, y + reach + 1)):
                for u in range(max(0, x - reach), min(columns, x + reach + 1)):
                    seed = label[v, u] == ignore_label if definition == "void" else _changes(label, v, u, ignore_label)
                    result[y, x] |= seed
    return result


def _changes(label, y, x, ignore_label):
    for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
        if 0 <= v < label.shape[0] and 0 <= u < label.shape[1]:
            if ignore_label not in (label[y, x], label[v, u]) and label[y, x] != label[v, u]:
                return True
    return False
