"""Mean field inference in NumPy (section 3.3), for where the compiled engine is not built."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from deeplab_tf.crf.lattice_numpy import Lattice
from deeplab_tf.crf.params import CrfParams

# Weight of a kernel, and the cost of its labels beside each other: None for Potts, [classes] for each beside itself, or
# [classes, classes].
Term = tuple[float, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class Trace:
    """What Fig. 5 of the paper draws, before the first iteration and after each one.

    Attributes:
        scores: float32 [iterations + 1, height, width, classes], the input of the softmax.
        beliefs: float32 of the same shape, the softmax of `scores`.
    """

    scores: np.ndarray
    beliefs: np.ndarray


def position_features(height: int, width: int, sigma: float) -> np.ndarray:
    """float32 [height * width, 2]: x, y in units of `sigma` pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y], axis=-1).reshape(-1, 2) / np.float32(sigma)


def bilateral_features(image: np.ndarray, sigma_alpha: float, sigma_beta: float) -> np.ndarray:
    """float32 [height * width, 5]: x, y in units of `sigma_alpha` pixels, r, g, b of `sigma_beta` levels."""
    colour = image.reshape(-1, 3).astype(np.float32) / np.float32(sigma_beta)
    return np.concatenate([position_features(image.shape[0], image.shape[1], sigma_alpha), colour], axis=1)


class Kernel:
    """A Gaussian kernel with one of the four normalisations of `CrfParams`."""

    def __init__(self, features: np.ndarray, normalization: str):
        self._lattice = Lattice(features)
        total = self._lattice.filter(np.ones((len(features), 1), np.float32)) + np.float32(1e-20)
        norms: dict[str, np.ndarray] = {"symmetric": 1 / np.sqrt(total), "none": np.ones_like(total)}
        norm = norms.get(normalization, 1 / total)
        self.norm = norm[:, 0]
        ones = np.ones_like(norm)
        self._before = norm if normalization in ("symmetric", "before") else ones
        self._after = norm if normalization in ("symmetric", "after") else ones

    def apply(self, beliefs: np.ndarray, transpose: bool = False) -> np.ndarray:
        """float32 [pixels, classes] -> the normalised kernel matrix, or its transpose, times it."""
        before, after = (self._after, self._before) if transpose else (self._before, self._after)
        return after * self._lattice.filter(before * beliefs, transpose)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def build_kernels(image: np.ndarray, params: CrfParams) -> tuple[Kernel, Kernel]:
    """The bilateral and the position kernel of one uint8 [height, width, 3] picture."""
    bilateral = bilateral_features(image, params.sigma_alpha, params.sigma_beta)
    position = position_features(image.shape[0], image.shape[1], params.sigma_gamma)
    return Kernel(bilateral, params.normalization), Kernel(position, params.normalization)


def message(term: Term, filtered: np.ndarray) -> np.ndarray:
    """The energy that one kernel adds: [pixels, classes], from the filtered beliefs of the same shape."""
    weight, cost = term
    if cost is None:
        # Potts, 1 - identity, differs from minus the identity by a number that is the same for all labels of a pixel.
        return np.float32(-weight) * filtered
    return np.float32(weight) * (filtered * cost if cost.ndim == 1 else filtered @ cost.T)


def infer(
    kernels: Sequence[Kernel],
    unary: np.ndarray,
    terms: Sequence[Term],
    iterations: int,
    start: np.ndarray | None = None,
    trace: bool = False,
) -> tuple[np.ndarray, Trace | None]:
    """Beliefs float32 [..., classes] after the iterations, and the trace where asked for.

    Args:
        kernels: over the pixels.
        unary: float32 [..., classes] with a row for each pixel, -log P.
        terms: one for each kernel.
        iterations: how many.
        start: beliefs of the same shape to go on from; None: the softmax of -unary.
        trace: keep scores and beliefs of every iteration.
    """
    shape = unary.shape
    logits = -unary.reshape(-1, shape[-1])
    scores, beliefs = [logits], [softmax(logits) if start is None else start.reshape(logits.shape)]
    for _ in range(iterations):
        current = logits.copy()
        for term, kernel in zip(terms, kernels, strict=True):
            if term[0]:
                current -= message(term, kernel.apply(beliefs[-1]))
        keep = len(scores) if trace else 0
        scores, beliefs = [*scores[:keep], current], [*beliefs[:keep], softmax(current)]
    kept = Trace(*(np.stack(maps).reshape(-1, *shape) for maps in (scores, beliefs))) if trace else None
    return beliefs[-1].reshape(shape), kept
