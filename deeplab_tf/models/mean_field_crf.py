"""The dense CRF as a layer whose weights are trained with the network's (CRF-RNN, Zheng et al. 2015)."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.differentiable import build_filters, mean_field, mean_field_adjoint
from deeplab_tf.crf.engines import checked_threads, choose_backend
from deeplab_tf.crf.filtering import BACKENDS
from deeplab_tf.crf.params import CrfParams

ITERATIONS = 5  # of CRF-RNN in training; it tests with 10


@keras.saving.register_keras_serializable(package="deeplab_tf")
class MeanFieldCRF(keras.layers.Layer):
    """Mean field of section 3.3 on the host's CPU, with exact gradients for the logits and its own weights.

    Trained are `w1`, `w2` (scalars, kept at 0 or above by Keras' optimizers) and `compatibility` [classes, classes], which
    starts as minus the identity: Potts, but for a number that is the same for all labels of a pixel. The kernels' widths are
    fixed, and no gradient goes to the pictures.

    `softmax(layer(images, logits))` is what `layer.dense_crf()` makes of the pictures and the softmax of the logits, but that
    the layer does not lift probabilities below 1e-8. In TensorFlow the layer is a call to Python: it works in `fit` and
    `tf.function`, not under XLA nor in a SavedModel; there its `dense_crf()` belongs behind the network.

    Args:
      params: kernels, iterations and normalisation; w1 and w2 are the first values. None: the defaults of `CrfParams` with
        5 iterations.
      backend: "native", "numpy" or "auto", as of `DenseCRF`.
      threads: threads of the native engine; None: all processors this process may use.

    Raises:
      ValueError: params that are no `CrfParams`, an unknown or missing backend, or threads out of 1..1024.
    """

    def __init__(self, params: CrfParams | None = None, backend: str = "auto", threads: int | None = None, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        params = CrfParams(iterations=ITERATIONS) if params is None else params
        if not isinstance(params, CrfParams):
            raise ValueError(f"MeanFieldCRF params: got {type(params).__name__}, expected CrfParams.")
        choose_backend(backend, BACKENDS)
        checked_threads(threads)
        self.params, self.backend, self.threads = params, backend, threads
        self.supports_jit = False
        self._filters = _LatestFilters(params, backend, threads)

    def build(self, images_shape, logits_shape):
        classes = logits_shape[-1]
        for name in ("w1", "w2"):
            setattr(self, name, self.add_weight(
                name=name, shape=(), initializer=keras.initializers.Constant(getattr(self.params, name)),
                constraint=keras.constraints.NonNeg()))  # fmt: skip
        self.compatibility = self.add_weight(name="compatibility", shape=(classes, classes), initializer=_minus_identity)
        self.built = True

    def call(self, images, logits):
        """Refines the logits of a batch.

        Args:
          images: uint8 or float [batch, height, width, 3], the real RGB pictures, 0..255.
          logits: float [batch, height, width, classes], at the pictures' size (`dl.resize_align_corners`).

        Returns:
          float32 [batch, height, width, classes], the scores of the last iteration: logits again, for a loss that
          takes logits.

        Raises:
          ValueError: shapes that are known and do not fit.
        """
        images, logits = tf.convert_to_tensor(images), tf.cast(tf.convert_to_tensor(logits), tf.float32)
        if not images.shape.is_compatible_with([*logits.shape[:3], 3]):
            raise ValueError(
                f"MeanFieldCRF: got pictures {images.shape} for logits {logits.shape}, expected [batch, height, "
                "width, 3] of the same height and width; resize the logits with dl.resize_align_corners."
            )
        types = 4 * [tf.float32]

        @tf.custom_gradient
        def refine(*inputs):
            scores, beliefs = tf.numpy_function(self._forward, [images, *inputs], types[:2])

            def adjoint(gradient):
                return tf.numpy_function(self._adjoint, [images, beliefs, gradient, *inputs[1:]], types)

            return scores, adjoint

        scores = refine(logits, *(tf.convert_to_tensor(one) for one in (self.w1, self.w2, self.compatibility)))
        return tf.ensure_shape(scores, logits.shape)

    def dense_crf(self, iterations: int | None = None) -> DenseCRF:
        """The DenseCRF of the weights as they are now, for pictures behind a network; None: as many iterations."""
        params = dataclasses.replace(
            self.params, w1=float(self.w1), w2=float(self.w2),
            iterations=self.params.iterations if iterations is None else iterations,
        )  # fmt: skip
        return DenseCRF(params, self.backend, self.threads, self.compatibility.numpy())

    def _forward(self, images, logits, w1, w2, compatibility):
        """Scores [batch, height, width, classes] and beliefs [batch, iterations, pixels, classes]."""
        found = [
            mean_field(filters, one.reshape(-1, one.shape[-1]), (w1, w2), compatibility, self.params.iterations)
            for filters, one in zip(self._filters(images), logits, strict=True)
        ]
        scores, beliefs = zip(*found, strict=True)
        return np.stack(scores).reshape(logits.shape), np.stack(beliefs)

    def _adjoint(self, images, beliefs, gradient, w1, w2, compatibility):
        found = [
            mean_field_adjoint(filters, kept, (w1, w2), compatibility, one.reshape(kept.shape[1:]))
            for filters, kept, one in zip(self._filters(images), beliefs, gradient, strict=True)
        ]
        to_logits, to_weights, to_compatibility = map(np.stack, zip(*found, strict=True))
        return to_logits.reshape(gradient.shape), *to_weights.sum(axis=0), to_compatibility.sum(axis=0)

    def compute_output_shape(self, images_shape, logits_shape):
        return logits_shape

    def get_config(self):
        return super().get_config() | {
            "params": dataclasses.asdict(self.params), "backend": self.backend, "threads": self.threads,
        }  # fmt: skip

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"params": CrfParams(**config["params"])})


class _LatestFilters:
    """Filters of a batch's pictures, kept until the next batch: the way back finds those of the way there."""

    def __init__(self, *settings):
        self._settings, self._latest = settings, (np.empty(0), [])

    def __call__(self, images: np.ndarray) -> list:
        pictures, filters = self._latest
        if not np.array_equal(pictures, images):
            filters = [build_filters(image, *self._settings) for image in images]
            self._latest = (images.copy(), filters)
        return filters


def _minus_identity(shape, dtype=None):
    return -tf.eye(*shape, dtype=dtype)
