"""The overlapping tiles of `inference.tiles` as a TensorFlow graph, for artefacts that cut large pictures themselves."""

from __future__ import annotations

import tensorflow as tf

from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.tiles import Tiles


class TiledPredictor:
    """A Predictor whose probabilities are averaged over tiles where a picture is larger than one.

    Args:
      predictor: what every tile goes through.
      tiles: their size and overlap.

    Raises:
      ValueError: tiles that are not larger than the padding's multiple.
    """

    def __init__(self, predictor: Predictor, tiles: Tiles):
        multiple = predictor.multiple
        next(tiles.cut(1, 1, multiple))  # refuses what is too small
        self.tiles, self._predictor = tiles, predictor
        self.num_classes, self.network, self.logits = predictor.num_classes, predictor.network, predictor.logits
        self._sides = [(side - 1) // multiple * multiple + 1 for side in tiles.size]
        self._steps = [
            max(multiple, (side - overlap) // multiple * multiple)
            for side, overlap in zip(self._sides, tiles.overlap, strict=True)
        ]

    def probabilities(self, images: tf.Tensor) -> tf.Tensor:
        """[batch, height, width, 3] RGB 0..255 -> float32 [batch, height, width, K], as `segment` with this tile."""
        size = tf.shape(images)[1:3]
        larger = tf.reduce_any(size > tf.constant(self.tiles.size))
        return tf.cond(larger, lambda: self._averaged(images, size), lambda: self._predictor.probabilities(images))

    scores = probabilities

    def _averaged(self, images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        def band(start, stop):
            """All tiles of some rows: their weighted sum and the sum of the weights, [batch, rows, width, K] and [..., 1]."""
            return self._sum(1, size[1], lambda left, right: self._weighted(images[:, start:stop, left:right]))

        total, weight = self._sum(0, size[0], band)
        return total / weight

    def _weighted(self, part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows, columns = (self._ramp(tf.shape(part)[axis + 1], self.tiles.overlap[axis]) for axis in (0, 1))
        share = tf.ones_like(part[..., :1], tf.float32) * (rows[:, None] * columns)[..., None]
        return self._predictor.probabilities(part) * share, share

    def _sum(self, axis: int, length: tf.Tensor, sums) -> tuple[tf.Tensor, tf.Tensor]:
        """`sums(start, stop)` of every span of an axis (`Tiles.cut`), put in their places and added."""
        side, step = self._sides[axis], self._steps[axis]
        multiple = self._predictor.multiple
        last = tf.maximum(0, -(-(length - side) // multiple) * multiple)
        spans = -(-last // step) + 1

        def add(i, total, weight):
            start = tf.minimum(i * step, last)
            stop = tf.minimum(start + side, length)
            padding = [[0, 0]] * 4
            padding[axis + 1] = [start, length - stop]
            more = [tf.pad(part, padding) for part in sums(start, stop)]
            return i + 1, total + more[0], weight + more[1]

        shapes = [tf.TensorShape([]), *(tf.TensorShape([None, None, None, channels]) for channels in (self.num_classes, 1))]
        nothing = [tf.zeros([1, 1, 1, self.num_classes]), tf.zeros([1, 1, 1, 1])]  # broadcast in the first addition
        _, total, weight = tf.while_loop(
            lambda i, *_: i < spans, add, [tf.constant(0), *nothing], shape_invariants=shapes, parallel_iterations=1
        )
        return total, weight

    @staticmethod
    def _ramp(length: tf.Tensor, overlap: int) -> tf.Tensor:
        inward = tf.minimum(tf.range(1, length + 1), tf.range(length, 0, -1))
        return (tf.cast(tf.minimum(inward, overlap + 1), tf.float32) / (overlap + 1)) ** 4
