"""A network over a `tf.data` of pictures, with the dense CRF as an op of the same graph."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.inference.predictor import predictor_for


def crf_op(crf: DenseCRF) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The CRF for graphs: uint8 [height, width, 3] and float32 [height, width, K] -> float32 [height, width, K].

    It is Python inside (`tf.numpy_function`): it runs where it was made, does not go into a SavedModel and has no gradient;
    `MeanFieldCRF` is the layer that does.
    """

    def refine(image: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        refined = tf.numpy_function(lambda *given: crf(*given).astype(np.float32), [image, probabilities], tf.float32)
        return tf.ensure_shape(refined, probabilities.shape)

    return refine


def map_pictures(
    dataset: tf.data.Dataset,
    model: keras.Model,
    *,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    fusion: str = "max_logits",
    crf: DenseCRF | None = None,
    probabilities: bool = False,
    crf_workers: int = 2,
) -> tf.data.Dataset:
    """Label maps of a data set of pictures, in its order: one network at a time, CRFs beside it.

    Args:
      dataset: of uint8 [height, width, 3] RGB, of any sizes.
      model, scales, flip, fusion: as `segment` takes them; pictures are taken whole.
      crf: best with threads=1, as pictures run side by side.
      probabilities: give float32 [height, width, K] instead.
      crf_workers: pictures whose CRF runs at the same time.

    Returns:
      A data set of uint8 [height, width], uint16 above 256 classes, or of probabilities.

    Raises:
      ValueError: another element than one picture.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tf.TensorSpec) or spec.dtype != tf.uint8 or not spec.shape.is_compatible_with([None, None, 3]):
        raise ValueError(f"dataset holds {spec}, expected pictures alone, uint8 [height, width, 3]; map them out first.")
    predictor = predictor_for(model, scales, flip, fusion)
    kind = tf.uint8 if predictor.num_classes <= 256 else tf.uint16

    def segmented(image):
        return image, tf.ensure_shape(predictor.run(image[None])[0], [None, None, predictor.num_classes])

    def finished(image, found):
        found = found if crf is None else crf_op(crf)(image, found)
        return found if probabilities else tf.cast(tf.argmax(found, axis=-1), kind)

    return dataset.map(segmented).map(finished, num_parallel_calls=crf_workers).prefetch(1)
