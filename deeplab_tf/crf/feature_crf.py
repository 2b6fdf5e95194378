"""`FeatureCRF`: mean field over any number of Gaussian kernels, each over its own features."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplab_tf.crf import mean_field
from deeplab_tf.crf.engines import (
    DEFAULT_PRUNE,
    MEMORY_LIMIT,
    checked_memory_limit,
    checked_prune,
    checked_threads,
    choose_backend,
    engine,
)
from deeplab_tf.crf.filtering import BACKENDS, checked_features
from deeplab_tf.crf.params import NORMALIZATIONS


@dataclasses.dataclass(frozen=True, eq=False)
class PairwiseKernel:
    """One kernel of a fully connected CRF.

    Attributes:
        features: float [pixels, dimensions], already divided by the kernel's widths; pixels may be those of a picture, a
            volume or anything else.
        compatibility: what two labels cost beside each other, in the signs of pydensecrf. A number w: the Potts model, w
            where the labels differ, 0 where they are the same. A vector [classes]: entry l is the cost of label l beside
            itself (negative draws together). A matrix [classes, classes]: entry (l, l') is the cost of label l at a pixel
            and l' at another.
        normalization: one of `params.NORMALIZATIONS`.

    Raises:
        ValueError: features as `GaussianFilter` refuses them, a compatibility of another shape or not finite, or an
            unknown normalization.
    """

    features: np.ndarray
    compatibility: float | np.ndarray = 1.0
    normalization: str = "symmetric"

    def __post_init__(self):
        object.__setattr__(self, "features", checked_features(self.features))
        cost = np.ascontiguousarray(self.compatibility, np.float32)
        shape = np.shape(self.compatibility)
        if len(shape) > 2 or (len(shape) == 2 and shape[0] != shape[1]) or 0 in shape or not np.isfinite(cost).all():
            raise ValueError(
                f"compatibility: got shape {list(shape)}, expected a finite number, [classes] or [classes, classes]."
            )
        object.__setattr__(self, "compatibility", cost.reshape(shape))
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization: got {self.normalization!r}, expected one of {', '.join(NORMALIZATIONS)}.")

    def term(self) -> mean_field.Term:
        """Weight and cost, as the engines take them."""
        cost = np.asarray(self.compatibility)
        return (float(cost), None) if cost.ndim == 0 else (1.0, cost)


class FeatureCRF:
    """A fully connected CRF over kernels with any features, solved by mean field; `DenseCRF` is the case of pictures.

    One object may serve several threads at once.

    Args:
        kernels: at least one, all over the same number of pixels.
        backend: "native", "numpy" or "auto", as `GaussianFilter` takes it.
        threads: threads of the native engine; None takes all processors this process may use.
        prune: as `DenseCRF` takes it, in `infer`; where a kernel has a compatibility matrix, all labels are filtered.
        memory_limit: GiB that one call of the native engine may need; what needs more is refused.

    Raises:
        ValueError: no kernel, kernels that disagree on the pixels, or an unknown or missing backend.
    """

    def __init__(
        self,
        kernels: Sequence[PairwiseKernel],
        *,
        backend: str = "auto",
        threads: int | None = None,
        prune: float = DEFAULT_PRUNE,
        memory_limit: float = MEMORY_LIMIT,
    ):
        if len({len(kernel.features) for kernel in kernels}) != 1:
            raise ValueError(
                f"kernels: got features over {[len(kernel.features) for kernel in kernels]} pixels, expected at "
                "least one kernel and the same pixels for all."
            )
        self._terms = [kernel.term() for kernel in kernels]
        self._pixels = len(kernels[0].features)
        self._native: Any = None
        self._slow: list[mean_field.Kernel] = []
        threads, self._prune = checked_threads(threads), checked_prune(prune)
        memory = checked_memory_limit(memory_limit)
        if choose_backend(backend, BACKENDS) == "native":
            self._native = engine().Kernels.of_features(
                [kernel.features for kernel in kernels],
                [kernel.normalization for kernel in kernels],
                threads,
                engine().Workspace(),
                memory,
            )
        else:
            self._slow = [mean_field.Kernel(kernel.features, kernel.normalization) for kernel in kernels]

    def infer(self, unary: np.ndarray, iterations: int) -> np.ndarray:
        """Beliefs float32 [pixels, classes] after so many iterations from the unaries' own.

        Args:
            unary: float [pixels, classes], finite energies (-log P).
            iterations: a whole number >= 0.

        Raises:
            ValueError: another shape, values that are not finite, or a compatibility for another number of classes.
        """
        return self._run(self._checked(unary, "unary"), iterations, None)

    def start(self, unary: np.ndarray) -> np.ndarray:
        """Beliefs before the first iteration: the softmax of -unary, float32 [pixels, classes]."""
        return self.infer(unary, 0)

    def step(self, unary: np.ndarray, beliefs: np.ndarray) -> np.ndarray:
        """Beliefs after one more iteration; `infer` is `start` and so many of these, up to rounding."""
        unary = self._checked(unary, "unary")
        return self._run(unary, 1, self._checked(beliefs, "beliefs", unary.shape[1]))

    def kl_divergence(self, unary: np.ndarray, beliefs: np.ndarray) -> float:
        """sum Q log Q + sum Q unary + sum Q (cost K Q): the divergence between the beliefs and the CRF's distribution up to
        the partition function's logarithm. Mean field lowers it."""
        unary = self._checked(unary, "unary")
        beliefs = self._checked(beliefs, "beliefs", unary.shape[1])
        energy = unary.astype(np.float64) + np.log(np.maximum(beliefs, 1e-20))
        for index, term in enumerate(self._terms):
            energy += mean_field.message(term, self._filter(index, beliefs))
        return float((beliefs * energy).sum())

    def _filter(self, index: int, values: np.ndarray) -> np.ndarray:
        return self._slow[index].apply(values) if self._slow else self._native.filter(index, values)

    def _run(self, unary, iterations, start) -> np.ndarray:
        if iterations != int(iterations) or iterations < 0:
            raise ValueError(f"iterations: got {iterations!r}, expected a whole number >= 0.")
        if self._slow:
            return mean_field.infer(self._slow, unary, self._terms, int(iterations), start)[0]
        return self._native.infer(unary, False, self._terms, int(iterations), self._prune, start)

    def _checked(self, values, name: str, classes: int | None = None) -> np.ndarray:
        values = np.asarray(values)
        for _, cost in self._terms:
            if classes is None and cost is not None:
                classes = len(cost)
        if values.ndim != 2 or len(values) != self._pixels or values.shape[1] != (classes or values.shape[1] or 1):
            raise ValueError(
                f"{name}: got shape {list(values.shape)}, expected [{self._pixels}, {classes or 'classes'}] for these kernels."
            )
        values = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: got NaN or infinite values, expected finite ones.")
        for _, cost in self._terms:
            if cost is not None and len(cost) != values.shape[1]:
                raise ValueError(
                    f"{name}: got {values.shape[1]} classes for a compatibility of {list(cost.shape)}, expected "
                    "one entry, or row and column, per class."
                )
        return values
