"""How often each class occurs, and the class weights that follow from it."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets import pipeline
from deeplab_tf.datasets.specs import DatasetSpec


@dataclasses.dataclass(frozen=True)
class ClassFrequencies:
    """Counts over a set of masks, by train id; void left out.

    Attributes:
      names: class names.
      pixels: pixels of each class.
      pictures: pictures that hold the class.
      pixels_beside: labelled pixels of those pictures.
      void: void pixels of all pictures.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    pictures: np.ndarray
    pixels_beside: np.ndarray
    void: int

    def table(self) -> str:
        """Text with a line a class: name, share of the labelled pixels, pictures."""
        total = max(int(self.pixels.sum()), 1)
        width = max(map(len, self.names), default=5)
        rows = zip(self.names, self.pixels, self.pictures, strict=True)
        lines = [f"{'class':{width}}  {'pixels':>8}  {'pictures':>8}"]
        lines += [f"{name:{width}}  {pixels / total:8.3%}  {pictures:8,d}" for name, pixels, pictures in rows]
        void = self.void / max(int(self.pixels.sum()) + self.void, 1)
        return "\n".join([*lines, f"{'void':{width}}  {void:8.3%}  ({self.void:,} of all pixels)"])


def count_classes(spec: DatasetSpec, source: pipeline.Source) -> ClassFrequencies:
    """Reads all masks of the source and counts. Call it inside `wrong_files.user_errors`."""

    def histogram(label):
        return tf.math.bincount(tf.cast(tf.reshape(label, [-1]), tf.int32), minlength=256, maxlength=256)

    histograms = pipeline.labels_of(source).map(pipeline.as_written(histogram), num_parallel_calls=tf.data.AUTOTUNE)
    counts = list(histograms.as_numpy_iterator())
    return from_histograms(spec, np.array(counts, np.int64).reshape(-1, 256))


def from_histograms(spec: DatasetSpec, histograms: np.ndarray) -> ClassFrequencies:
    """Frequencies from int [pictures, 256] counts of train ids (255: void)."""
    counts = histograms[:, : spec.num_classes]
    present = counts > 0
    return ClassFrequencies(
        spec.class_names,
        counts.sum(0),
        present.sum(0),
        (present * counts.sum(1, keepdims=True)).sum(0),
        int(histograms[:, spec.ignore_label].sum()),
    )


def median_frequency_weights(frequencies: ClassFrequencies, power: float = 1.0) -> np.ndarray:
    """Class weights (median(f) / f) ^ power, float32 [classes]; power 1 is Eigen and Fergus (ICCV 2015, section 6.3.2).

    f of a class is its pixels over all labelled pixels of the pictures that hold it. A class that never occurs gets
    weight 1 (no pixel uses it) and does not enter the median. A power below 1 softens the weights: rare classes still count
    more, and are found less often where they are not.
    """
    there = frequencies.pixels > 0
    weights = np.ones(len(frequencies.names), np.float32)
    f = frequencies.pixels[there] / frequencies.pixels_beside[there]
    weights[there] = (np.median(f) / f) ** power if there.any() else 1
    return weights
