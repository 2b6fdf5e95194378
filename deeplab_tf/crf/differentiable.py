"""The CRF as a differentiable function, in NumPy: mean field with its adjoint, and the pairwise energy with its gradient.

A filter here is anything that is called as `filter(values)` for W values and `filter(values, transpose=True)` for W' values,
values [pixels, channels]; a `GaussianFilter` is one. The lattice's W is not symmetric, so the transposed one must be asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deeplab_tf.crf.filtering import GaussianFilter
from deeplab_tf.crf.mean_field import bilateral_features, position_features, softmax
from deeplab_tf.crf.params import CrfParams


class Gradients(NamedTuple):
    """Of a scalar with respect to logits [pixels, classes], weights [kernels] and compatibility [classes, classes]."""

    logits: np.ndarray
    weights: np.ndarray
    compatibility: np.ndarray


def build_filters(
    image: np.ndarray, params: CrfParams, backend: str = "auto", threads: int | None = None
) -> tuple[GaussianFilter, GaussianFilter]:
    """The bilateral and the position filter of one picture [height, width, 3], uint8 or float, RGB in 0..255."""
    features = (
        bilateral_features(image, params.sigma_alpha, params.sigma_beta),
        position_features(image.shape[0], image.shape[1], params.sigma_gamma),
    )
    bilateral, position = (
        GaussianFilter(one, normalization=params.normalization, backend=backend, threads=threads) for one in features
    )
    return bilateral, position


def mean_field(
    filters: Sequence, logits: np.ndarray, weights: Sequence[float], compatibility: np.ndarray, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores s_T of mean field: s_0 = logits, q_t = softmax(s_t), s_(t+1) = logits - sum_k w_k (W_k q_t) C'.

    Args:
        filters: one of each kernel.
        logits: float [pixels, classes]; its width is that of the results.
        weights: w_k of each kernel.
        compatibility: C [classes, classes], the cost of label l at one pixel and l' at another.
        iterations: T >= 0.

    Returns:
        The scores [pixels, classes], whose softmax are the beliefs, and q_0 .. q_(T-1) [T, pixels, classes], what the
        adjoint needs.
    """
    scores, beliefs = logits, np.empty((iterations, *logits.shape), logits.dtype)
    for belief in beliefs:
        belief[:] = softmax(scores)
        votes = sum(weight * one(belief) for weight, one in zip(weights, filters, strict=True))
        scores = logits - votes @ compatibility.T
    return scores, beliefs


def mean_field_adjoint(
    filters: Sequence, beliefs: np.ndarray, weights: Sequence[float], compatibility: np.ndarray, gradient: np.ndarray
) -> Gradients:
    """The gradients of a scalar whose gradient with respect to `mean_field`'s scores is `gradient` [pixels, classes].

    With g_t the gradient with respect to s_t and h_k = W_k' g_(t+1): the filter acts on pixels and C on classes, so they
    commute, and h_k is all that an iteration takes: weights -= <h_k C, q_t>, C -= sum_k w_k h_k' q_t, and through the
    softmax g_t = q_t (d - <q_t, d>) with d = -sum_k w_k h_k C.
    """
    to_logits = np.zeros_like(gradient)
    to_weights = np.zeros(len(filters), gradient.dtype)
    to_compatibility = np.zeros_like(compatibility)
    for belief in beliefs[::-1]:
        to_logits += gradient
        returned = [one(gradient, transpose=True) for one in filters]
        total = sum(weight * one for weight, one in zip(weights, returned, strict=True))
        agreed = belief @ compatibility.T
        to_weights -= [np.vdot(one, agreed) for one in returned]
        to_compatibility -= total.T @ belief
        pull = -total @ compatibility
        gradient = belief * (pull - np.einsum("pl,pl->p", belief, pull)[:, None])
    return Gradients(to_logits + gradient, to_weights, to_compatibility)


def disagreement(kernel, probs: np.ndarray, valid: np.ndarray) -> tuple[float, np.ndarray]:
    """How much a kernel's pairs of pixels differ in label: 1 - sum_k S_k' W S_k / (v' W v), with S = v * probs.

    The Potts energy of soft labels (Tang et al. 2018, "On Regularized Losses for Weakly-supervised CNN Segmentation"),
    divided by what it would be were all pairs to differ: 0 where all valid pixels have one and the same label.

    Args:
        kernel: the filter of W.
        probs: float [pixels, classes], 0..1, summing to 1 over the classes.
        valid: float [pixels], 0..1, v; a pixel of 0 takes no part.

    Returns:
        The value and its gradient with respect to `probs`, -v * (W + W') S / (v' W v); both 0 where nothing is valid.
    """
    valid = valid[:, None].astype(probs.dtype)
    masked = valid * probs
    filtered = kernel(np.concatenate([masked, valid], axis=1))
    pairs = np.vdot(valid, filtered[:, -1:])
    if not pairs > 0:
        return 0.0, np.zeros_like(probs)
    both_ways = filtered[:, :-1] + kernel(masked, transpose=True)
    return float(1 - np.vdot(masked, filtered[:, :-1]) / pairs), -valid * both_ways / pairs
