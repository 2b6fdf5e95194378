"""Mean field inference in NumPy (section 3.3), for where the compiled engine is not built."""

import dataclasses

import numpy as np

from deeplab_tf.crf.lattice_numpy import Lattice
from deeplab_tf.crf.params import CrfParams


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
    return np.concatenate([position_features(*image.shape[:2], sigma_alpha), colour], axis=1)


class Kernel:
    """A Gaussian kernel with one of the four normalisations of `CrfParams`."""

    def __init__(self, features: np.ndarray, normalization: str):
        self._lattice = Lattice(features)
        norm = self._lattice.filter(np.ones((len(features), 1), np.float32))
        before, after = np.ones_like(norm), np.ones_like(norm)
        if normalization == "symmetric":
            before = after = 1 / np.sqrt(norm + np.float32(1e-20))
        elif normalization == "before":
            before = 1 / (norm + np.float32(1e-20))
        elif normalization == "after":
            after = 1 / (norm + np.float32(1e-20))
        self._before, self._after = before, after

    def apply(self, beliefs: np.ndarray) -> np.ndarray:
        """float32 [pixels, classes] -> the normalised kernel matrix times it."""
        return self._after * self._lattice.filter(self._before * beliefs)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def build_kernels(image: np.ndarray, params: CrfParams) -> tuple[Kernel, Kernel]:
    """The bilateral and the position kernel of one uint8 [height, width, 3] picture."""
    bilateral = bilateral_features(image, params.sigma_alpha, params.sigma_beta)
    position = position_features(*image.shape[:2], params.sigma_gamma)
    return Kernel(bilateral, params.normalization), Kernel(position, params.normalization)


def infer(kernels: tuple[Kernel, Kernel], unary: np.ndarray, params: CrfParams,
          compatibility: np.ndarray | None = None, trace: bool = False) -> tuple[np.ndarray, Trace | None]:
    """Beliefs float32 [height, width, classes] after `params.iterations`, and the trace where asked for.

    Args:
        kernels: what `build_kernels` made of the picture.
        unary: float32 [height, width, classes], -log P.
        compatibility: float32 [classes, classes], the cost of a pair of labels; None: Potts.
        trace: keep scores and beliefs of every iteration.
    """
    shape = unary.shape
    logits = -unary.reshape(-1, shape[2])
    # Potts, 1 - identity, differs from minus the identity by a number that is the same for all labels of a pixel.
    cost = -np.eye(shape[2], dtype=np.float32) if compatibility is None else compatibility
    scores, beliefs = [logits], [softmax(logits)]
    for _ in range(params.iterations):
        current = logits.copy()
        for weight, kernel in zip((params.w1, params.w2), kernels, strict=True):
            if weight:
                current -= np.float32(weight) * (kernel.apply(beliefs[-1]) @ cost.T)
        keep = len(scores) if trace else 0
        scores, beliefs = [*scores[:keep], current], [*beliefs[:keep], softmax(current)]
    kept = Trace(*(np.stack(maps).reshape(-1, *shape) for maps in (scores, beliefs))) if trace else None
    return beliefs[-1].reshape(shape), kept
