"""The dense CRF as a loss: what weak labels leave open, the pictures' edges decide (Tang et al. 2018)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deeplab_tf.crf.differentiable import disagreement
from deeplab_tf.crf.filtering import GaussianFilter
from deeplab_tf.crf.mean_field import bilateral_features
from deeplab_tf.layers.resize import resize_align_corners


def dense_crf_loss(
    logits: tf.Tensor,
    images: tf.Tensor,
    *,
    valid: tf.Tensor | None = None,
    sigma_alpha: float = 100.0,
    sigma_beta: float = 15.0,
    stride: int = 2,
    from_logits: bool = True,
    backend: str = "auto",
    threads: int | None = None,
) -> tf.Tensor:
    """The share of a picture's similar pairs of pixels that differ in label, mean over the batch.

    1 - sum_k S_k' W S_k / (v' W v), with W the bilateral kernel of section 3.3 without normalisation, S = v * softmax(logits)
    and v the valid pixels: between 0 (one label everywhere) and 1, whatever the size and the widths. To be added, with a
    weight, to the cross entropy of the labels there are. The published code (meng-tang/rloss) takes -sum_k S_k' W S_k itself,
    of crops of 513 pixels at half size, times 2e-9, with the sigmas below: on VOC that is a weight of 0.07 to 0.4 here,
    0.16 in the mean (measured on 12 pictures).

    Exact gradient with respect to the logits, -(W + W') S through the softmax; none to the pictures. Runs on the host's CPU
    as a call to Python: in `tf.function`, not under XLA.

    Args:
      logits: float [batch, h, w, classes] of any stride; resized to the pictures with aligned corners.
      images: uint8 or float [batch, height, width, 3], the real RGB pictures, 0..255.
      valid: bool or float [batch, height, width], 0..1; a pixel of 0, such as padding, takes no part. None: all do.
      sigma_alpha: position width of the kernel, pixels of `images`.
      sigma_beta: colour width, grey levels of 0..255.
      stride: the kernel sees every stride-th pixel of the pictures, 2 being the published half size.
      from_logits: whether `logits` are that, or probabilities.
      backend, threads: of the filter, as of `DenseCRF`.

    Returns:
      float32 scalar.

    Raises:
      ValueError: pictures of another shape, where it is known, or a stride below 1.
    """
    images = tf.convert_to_tensor(images)
    if not images.shape.is_compatible_with([None, None, None, 3]) or stride < 1:
        raise ValueError(
            f"dense_crf_loss: got pictures {images.shape} and stride {stride}, expected [batch, height, width, 3] "
            "and a stride of at least 1."
        )
    size = tf.unstack(tf.shape(images)[1:3])
    probs = resize_align_corners(tf.cast(logits, tf.float32), size)[:, ::stride, ::stride]
    probs = tf.nn.softmax(probs) if from_logits else probs
    valid = tf.ones(tf.shape(images)[:3]) if valid is None else tf.cast(valid, tf.float32)

    def compared(images, valid, probs):
        """Values [batch] and their gradients, the same shape as `probs`."""
        values, gradients = np.empty(len(images), np.float32), np.empty_like(probs)
        for i, image in enumerate(images):
            kernel = GaussianFilter(bilateral_features(image, sigma_alpha / stride, sigma_beta), normalization="none",
                                    backend=backend, threads=threads)  # fmt: skip
            values[i], found = disagreement(kernel, probs[i].reshape(-1, probs.shape[-1]), valid[i].ravel())
            gradients[i] = found.reshape(probs[i].shape)
        return values, gradients

    @tf.custom_gradient
    def loss(probs):
        seen = [tensor[:, ::stride, ::stride] for tensor in (images, valid)]
        values, gradients = tf.numpy_function(compared, [*seen, probs], [tf.float32, tf.float32])
        values, gradients = tf.ensure_shape(values, [None]), tf.ensure_shape(gradients, probs.shape)
        pictures = tf.cast(tf.shape(probs)[0], tf.float32)
        return tf.reduce_mean(values), lambda upstream: upstream * gradients / pictures

    return loss(probs)
