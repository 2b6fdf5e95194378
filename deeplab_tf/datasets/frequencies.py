"""How often each class occurs, and the class weights that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from deeplab_tf.datasets.readers import read_label
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec


def class_counts(spec: DatasetSpec, samples: Sequence[Sample], threads: int = 2) -> np.ndarray:
    """Pixels of each class in each mask: int64 [samples, classes]; void is left out."""

    def count(sample):
        return np.bincount(read_label(sample.label, spec).ravel(), minlength=256)[: spec.num_classes]

    with ThreadPoolExecutor(threads) as pool:
        return np.array(list(pool.map(count, samples)), np.int64)


def median_frequency_weights(spec: DatasetSpec, samples: Sequence[Sample]) -> tuple[float, ...]:
    """Median of the class frequencies over each class's own; 1 for a class that never occurs.

    A class's frequency is its share of the pixels of the pictures that show it (Eigen and Fergus 2015).
    """
    counts = class_counts(spec, samples)
    shown = ((counts > 0) * counts.sum(axis=1, keepdims=True)).sum(axis=0)
    frequencies = counts.sum(axis=0) / np.maximum(shown, 1)
    occurring = frequencies > 0
    weights = np.ones(spec.num_classes)
    weights[occurring] = np.median(frequencies[occurring]) / frequencies[occurring]
    return tuple(float(weight) for weight in weights)
