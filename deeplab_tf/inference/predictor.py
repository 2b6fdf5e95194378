"""From pictures to class probabilities, as a TensorFlow graph.

`segment` and the exported SavedModel both run this, so they cannot differ. The one rule for pictures of any size: pad
at the bottom and on the right with the mean pixel to 8n+1 (output stride times n, plus one; 32n+1 where several scales are
fused, see `zoo.size_multiple`), up-sample the logits with aligned corners to the padded size, cut back to the picture, softmax.
"""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.inference.memory import Footprint
from deeplab_tf.layers import resize_align_corners
from deeplab_tf.models.multi_scale import at_scales, checked_scales
from deeplab_tf.models.zoo import size_multiple
from deeplab_tf.published import MEAN_RGB

FUSIONS = ("max_logits", "mean_probabilities")
_PROBE_SIDE = 257  # 2^8 + 1: its score map has 256 / output_stride + 1 rows


class Predictor:
    """A network with the steps round it, for pictures of any size.

    Args:
      model: RGB float32 [batch, height, width, 3] in 0..255 -> logits [batch, rows, columns, K]; or a MultiScale, which
        is run with its own scales where `scales` is (1.0,).
      scales: picture scales.
      flip: average the probabilities of the picture and of its mirror image.
      fusion: of several scales: "max_logits", the maximum of their logits (MSC, section 3.2), or "mean_probabilities", the
        mean of each scale's probabilities.

    Attributes:
      num_classes: K.
      output_stride: picture pixels per score-map pixel.
      multiple: pictures are padded to a multiple of this, plus one.

    Raises:
      ValueError: no scale or one that is not positive; a model whose score maps do not have (n-1)/stride+1 rows.
    """

    def __init__(self, model: keras.Model, scales: tuple[float, ...] = (1.0,), flip: bool = False, fusion: str = "max_logits"):
        scales = checked_scales(scales)
        if fusion not in FUSIONS:
            raise ValueError(f"fusion is {fusion!r}, expected one of {', '.join(FUSIONS)}")
        network = getattr(model, "network", model)
        if network is not model and scales == (1.0,):
            scales = tuple(model.scales)
        self.scales, self.flip, self.fusion = scales, bool(flip), fusion
        self.network = network
        self._call = functools.partial(network, training=False)
        anything = tf.TensorSpec([None, None, None, 3])
        self._shared = tf.function(self._call, input_signature=[anything], autograph=False)
        self.num_classes, self.output_stride = _probe(network)
        self.multiple = size_multiple(self.output_stride, scales)
        # Sizes are left open: one trace serves every picture, so a set of many sizes neither retraces nor leaks.
        pictures = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
        self.run = tf.function(self.probabilities, input_signature=[pictures], autograph=False)

    @functools.cached_property
    def footprint(self) -> Footprint:
        """What it needs of memory and of the picture round a pixel."""
        return Footprint.of(self.network, self.scales)

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """[batch, height, width, 3] RGB 0..255 -> float32 [batch, rows, columns, K] of the padded pictures."""
        return tf.cast(at_scales(self._network_for(images), self._padded(images), self.scales), tf.float32)

    def _network_for(self, images: tf.Tensor):
        """One graph for all scales of pictures of any size: to trace and to start one for each takes thrice as long."""
        return self._shared if len(self.scales) > 1 and None in images.shape[1:3] else self._call

    def _padded(self, images: tf.Tensor) -> tf.Tensor:
        return pad_to_multiple(tf.cast(images, tf.float32), self.multiple)

    def probabilities(self, images: tf.Tensor) -> tf.Tensor:
        """[batch, height, width, 3] RGB 0..255 -> float32 [batch, height, width, K], which sum to 1 over K."""
        probabilities = self._softmax(images)
        if self.flip:
            with tf.control_dependencies([probabilities]):  # one after the other, in the memory of one
                mirrored = self._softmax(tf.reverse(images, axis=[2]))
            probabilities = (probabilities + tf.reverse(mirrored, axis=[2])) / 2
        return probabilities

    def scores(self, images: tf.Tensor) -> tf.Tensor:
        """As `probabilities`, or logits where those have the same maximum: labels need no softmax at full size."""
        if self.flip or (self.fusion != "max_logits" and len(self.scales) > 1):
            return self.probabilities(images)
        return self._at_full_size(self.logits(images), images)

    def one(self, image: np.ndarray) -> np.ndarray:
        """`probabilities` of one picture, uint8 [height, width, 3] -> float32 [height, width, K]."""
        return self.run(image[None])[0].numpy()

    def _softmax(self, images: tf.Tensor) -> tf.Tensor:
        if self.fusion == "max_logits" or len(self.scales) == 1:
            return tf.nn.softmax(self._at_full_size(self.logits(images), images), axis=-1)
        *own, _ = at_scales(self._network_for(images), self._padded(images), self.scales, return_all=True)
        full = [self._at_full_size(tf.cast(logits, tf.float32), images) for logits in own]
        return tf.add_n([tf.nn.softmax(logits, axis=-1) for logits in full]) / len(own)

    def _at_full_size(self, logits: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """Up-samples logits and cuts them back to the pictures."""
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        size = [padded_size(height, self.multiple), padded_size(width, self.multiple)]
        return resize_align_corners(logits, size)[:, :height, :width]


def padded_size(size: int | tf.Tensor, multiple: int) -> int | tf.Tensor:
    """The smallest `multiple` * n + 1 that is not below `size`; a number or an integer tensor."""
    return size + (1 - size) % multiple


def pad_to_multiple(images: tf.Tensor, multiple: int) -> tf.Tensor:
    """Pads float32 RGB [batch, height, width, 3] at the bottom and on the right with the mean pixel."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    bottom, right = padded_size(height, multiple) - height, padded_size(width, multiple) - width
    paddings = [[0, 0], [0, bottom], [0, right], [0, 0]]
    inside = tf.pad(tf.ones_like(images, tf.bool), paddings)
    return tf.where(inside, tf.pad(images, paddings), tf.constant(MEAN_RGB, tf.float32))


def predictor_for(
    model: keras.Model, scales: tuple[float, ...] = (1.0,), flip: bool = False, fusion: str = "max_logits"
) -> Predictor:
    """The model's Predictor for these settings, made and traced at the first call and kept as long as the model."""
    # In the model's __dict__, not by setattr: Keras and TensorFlow would track it and write it into checkpoints.
    cache = vars(model).setdefault("_deeplab_tf_predictors", _Cache())
    key = (tuple(scales), bool(flip), fusion)
    if key not in cache.predictors:
        cache.predictors[key] = Predictor(model, *key)
    return cache.predictors[key]


class _Cache:
    """Hides the predictors from object tracking, which walks dicts and functions but not plain objects."""

    def __init__(self):
        self.predictors: dict = {}


def _probe(network: keras.Model) -> tuple[int, int]:
    """(number of classes, output stride), read off the shape of a score map."""
    shape = network.compute_output_shape((1, _PROBE_SIDE, _PROBE_SIDE, 3))
    rows = shape[1] if len(shape) == 4 else None
    if not rows or (rows > 1 and (_PROBE_SIDE - 1) % (rows - 1)) or rows == 1:
        raise ValueError(
            f"model {network.name} turns a picture of {_PROBE_SIDE}x{_PROBE_SIDE} into {tuple(shape)}, expected a score map "
            f"[1, ({_PROBE_SIDE}-1)/stride+1, ({_PROBE_SIDE}-1)/stride+1, classes]"
        )
    return int(shape[-1]), (_PROBE_SIDE - 1) // (rows - 1)
