"""`DenseCRF`: a picture and probabilities in, refined probabilities out, by one of three engines."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, overload

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
    engine_missing,
    has_native,
)
from deeplab_tf.crf.labels import unary_from_labels
from deeplab_tf.crf.mean_field import Trace
from deeplab_tf.crf.params import CrfParams

__all__ = ["BACKENDS", "DEFAULT_PRUNE", "MIN_PROBABILITY", "DenseCRF", "Trace", "engine_missing", "has_native"]

BACKENDS = ("auto", "native", "numpy", "pydensecrf")
MIN_PROBABILITY = 1e-8  # clipped to this before the logarithm
DEFAULT = CrfParams()
_MOST_SIGMAS = 2**20  # across a picture; the lattice's float32 coordinates tell neighbours apart up to there


class DenseCRF:
    """The fully connected CRF of section 3.3, solved by mean field with permutohedral filtering.

    One object may serve several threads at once; it keeps the native engine's memory from picture to picture.

    Args:
        params: kernels, iterations and normalisation.
        backend: "native" (the compiled engine), "numpy" (its slow twin), "pydensecrf" (the package of that name,
            where installed) or "auto": native where it was built, else numpy. All give the same labels.
        threads: threads of the native engine; None takes all processors this process may use. The result's bits
            depend on nothing but the inputs and this number.
        compatibility: float [classes, classes], the cost of label l at one pixel and l' at another; None is Potts
            (1 where they differ). "pydensecrf" takes symmetric ones only.
        prune: labels that cannot win are left out of the native engine's filtering while one iteration puts at most this
            share of a pixel's probability wrongly; 0 filters all. They come back at the end with their unaries. The other
            engines, and a compatibility matrix, filter all labels. See below.
        memory_limit: GiB that one call of the native engine may need; a picture that needs more is refused.

    Raises:
        ValueError: an unknown or missing backend, threads < 1, prune out of 0..1, memory_limit <= 0, or a compatibility that
            is no finite square matrix.

    Which labels cannot win. Let P_i be the unaries' probabilities, e_l = max_i P_i(l), K the normalised kernels, and M the
    sum of |w| times K's largest row sum, which bounds any message. Then Q_i(l) = P_i(l) exp(m_i(l)) / Z_i with
    m_i(l) = sum_k w_k (K_k Q(l))_i, and Z_i >= 1 as messages are not negative. If e M e_l <= 1 (that e is Euler's), then by
    induction Q_i(l) <= r_l in every iteration, r_l being the smaller solution of r = e_l exp(M r), at most e e_l: a label
    with a peak of 1 % stays below 1.1 % with the default weights. Such a label's message is at most M r_l. So setting it to
    0, and keeping P_i(l) in Z_i, puts at most d = sum over the labels left out of e_l (exp(M r_l) - 1), about M e_l^2 each,
    of the pixel's probability wrongly; labels are left out, lowest peak first, while d <= `prune`.

    What that makes of Q. An iteration's error reaches the next through the softmax: if R_i is the spread of the error over
    the labels at pixel i, R_i' <= g_i sum_k w_k (K_k R)_i + 2 d_i, where g_i = 2 q_i (1 - q_i), q_i being the largest
    belief, or 1/2 where that is below 1/2. In the worst case all pixels stay undecided and it grows by M / 2 in each
    iteration, as does the rounding of a float; on pictures beliefs decide quickly. Followed on eight VOC pictures
    with 21 classes of a real network, for the two hardest of the benchmark's settings, the bound on any |Q| (of first order
    in the error) is 3e-3 with the default, its mean over the pixels below 1e-6; over all four settings Q changed by 2.3e-5
    at most, as much as another order of additions makes, and no label did.
    """

    def __init__(
        self,
        params: CrfParams = DEFAULT,
        backend: str = "auto",
        threads: int | None = None,
        compatibility: np.ndarray | None = None,
        prune: float = DEFAULT_PRUNE,
        memory_limit: float = MEMORY_LIMIT,
    ):
        self.threads = checked_threads(threads)
        self.params = _checked_params(params)
        self.backend = choose_backend(backend, BACKENDS)
        self.compatibility = None if compatibility is None else _checked_compatibility(compatibility)
        self.prune = checked_prune(prune)
        self._memory, self.memory_limit = checked_memory_limit(memory_limit), memory_limit
        self._workspace = engine().Workspace() if self.backend == "native" else None

    @overload
    def __call__(self, image: np.ndarray, probs: np.ndarray, iterations_trace: Literal[False] = ...) -> np.ndarray: ...

    @overload
    def __call__(self, image: np.ndarray, probs: np.ndarray, iterations_trace: Literal[True]) -> tuple[np.ndarray, Trace]: ...

    def __call__(
        self, image: np.ndarray, probs: np.ndarray, iterations_trace: bool = False
    ) -> np.ndarray | tuple[np.ndarray, Trace]:
        """Refine the probabilities of one picture.

        Args:
            image: uint8 [height, width, 3], the real RGB picture (not mean-subtracted).
            probs: float [height, width, classes] of any width, 0..1; values below 1e-8 count as 1e-8.
            iterations_trace: also return the score and belief maps after each iteration (Fig. 5).

        Returns:
            float32 [height, width, classes], summing to 1 over the classes; with `iterations_trace` a pair of it
            and a `Trace`.

        Raises:
            ValueError: shapes that disagree, a picture that is not uint8, probabilities that are NaN, negative or
                above 1, sigmas too small for the lattice of this picture, or a picture that needs more than the memory limit.
        """
        image, probs = _checked(image, probs, "probs", self.compatibility)
        return self._solver(image)(probs, True, self.params, iterations_trace)

    @overload
    def from_unary(self, image: np.ndarray, unary: np.ndarray, iterations_trace: Literal[False] = ...) -> np.ndarray: ...

    @overload
    def from_unary(self, image: np.ndarray, unary: np.ndarray, iterations_trace: Literal[True]) -> tuple[np.ndarray, Trace]: ...

    def from_unary(
        self, image: np.ndarray, unary: np.ndarray, iterations_trace: bool = False
    ) -> np.ndarray | tuple[np.ndarray, Trace]:
        """As calling it, with the unary energies float [height, width, classes] (-log P, or any finite ones)."""
        image, unary = _checked(image, unary, "unary", self.compatibility)
        if not np.isfinite(unary).all():
            raise ValueError("unary: got NaN or infinite values, expected finite energies.")
        return self._solver(image)(unary, False, self.params, iterations_trace)

    @classmethod
    def from_labels(
        cls,
        image: np.ndarray,
        labels: np.ndarray,
        certainty: float = 0.7,
        unsure: int | None = None,
        num_classes: int | None = None,
        params: CrfParams | None = None,
        backend: str = "auto",
        threads: int | None = None,
    ) -> np.ndarray:
        """Refine a mask of ids: float32 [height, width, classes] beliefs, whose argmax is the refined mask.

        Args:
            image: uint8 [height, width, 3], the real RGB picture.
            labels, certainty, unsure, num_classes: as `crf.labels.unary_from_labels`; ids stay what they are.
            params: None: the defaults of `CrfParams`.
            backend, threads: as DenseCRF takes them.

        Raises:
            ValueError: as DenseCRF and `unary_from_labels` raise it.
        """
        unary = unary_from_labels(labels, certainty, unsure, num_classes)
        return cls(CrfParams() if params is None else params, backend, threads).from_unary(image, unary)

    def sweep(self, image: np.ndarray, probs: np.ndarray, w1_values: Sequence[float]) -> Iterator[np.ndarray]:
        """The result of calling it, for each w1 in turn; the lattices are built once for all of them."""
        solve = self.prepared(image, probs)
        for w1 in w1_values:
            yield solve(dataclasses.replace(self.params, w1=w1))

    def prepared(self, image: np.ndarray, probs: np.ndarray) -> Callable[..., Any]:
        """The result of calling it as a function of parameters whose sigmas and normalisation are this object's, and of
        `iterations_trace`, with the lattices built once."""
        image, probs = _checked(image, probs, "probs", self.compatibility)
        solve = self._solver(image)
        return lambda params, iterations_trace=False: solve(probs, True, params, iterations_trace)

    def with_params(self, params: CrfParams) -> "DenseCRF":
        """The same with other parameters; the two share the native engine's memory."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), params=_checked_params(params))
        return other

    def __reduce__(self):
        """Copies and pickles, for other processes, get memory of their own."""
        return type(self), (self.params, self.backend, self.threads, self.compatibility, self.prune, self.memory_limit)

    def _solver(self, image: np.ndarray):
        """A function (values, are probabilities, params, keep a trace) for this picture; it may vary the weights."""
        params = self.params
        far = max(max(image.shape[:2]) / min(params.sigma_alpha, params.sigma_gamma), 255 / params.sigma_beta)
        if far > _MOST_SIGMAS:
            raise ValueError(
                f"CRF sigmas are too small for this picture: it is {far:.3g} of them wide, expected at most "
                f"{_MOST_SIGMAS:,}; use larger sigma_alpha, sigma_beta or sigma_gamma."
            )
        if self.backend == "native":
            kernels = engine().Kernels.of_picture(
                image,
                params.sigma_alpha,
                params.sigma_beta,
                params.sigma_gamma,
                params.normalization,
                self.threads,
                self._workspace,
                self._memory,
            )
            return lambda *request: self._native(kernels, *request)
        if self.backend == "numpy":
            kernels = mean_field.build_kernels(image, params)
            return lambda *request: self._slow(
                lambda unary, params, trace: mean_field.infer(
                    kernels, unary, self._terms(params), params.iterations, trace=trace
                ),
                *request,
            )
        from deeplab_tf.crf import pydensecrf_backend

        return lambda *request: self._slow(
            lambda unary, params, trace: pydensecrf_backend.infer(image, unary, params, self.compatibility, trace), *request
        )

    def _terms(self, params) -> list[mean_field.Term]:
        return [(params.w1, self.compatibility), (params.w2, self.compatibility)]

    def _native(self, kernels, values, are_probs, params, keep_trace):
        shape = (params.iterations + 1, *values.shape)
        trace = Trace(np.empty(shape, np.float32), np.empty(shape, np.float32)) if keep_trace else None
        beliefs = kernels.infer(
            values,
            are_probs,
            self._terms(params),
            params.iterations,
            prune=self.prune,
            score_trace=trace.scores if trace else None,
            belief_trace=trace.beliefs if trace else None,
        )
        if beliefs is None:
            _check_range(values)
        return (beliefs, trace) if keep_trace else beliefs

    def _slow(self, infer, values, are_probs, params, keep_trace):
        if are_probs:
            _check_range(values)
            values = -np.log(np.maximum(values, np.float32(MIN_PROBABILITY)))
        beliefs, trace = infer(values, params, keep_trace)
        return (beliefs, trace) if keep_trace else beliefs


def _checked_params(params) -> CrfParams:
    if not isinstance(params, CrfParams):
        raise ValueError(f"params: got {type(params).__name__}, expected CrfParams.")
    return params


def _checked(image, values, name, compatibility) -> tuple[np.ndarray, np.ndarray]:
    image, values = np.asarray(image), np.asarray(values)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: got shape {list(image.shape)} {image.dtype}, expected uint8 [height, width, 3].")
    if values.ndim != 3 or not (values.dtype.kind == "f" or values.dtype.name == "bfloat16"):
        raise ValueError(f"{name}: got shape {list(values.shape)} {values.dtype}, expected float [height, width, classes].")
    if values.shape[:2] != image.shape[:2]:
        raise ValueError(
            f"{name}: got shape {list(values.shape)} for an image of {list(image.shape)}, expected the same height and width."
        )
    if 0 in values.shape:
        raise ValueError(f"{name}: got shape {list(values.shape)}, expected at least one pixel and one class.")
    if compatibility is not None and len(compatibility) != values.shape[2]:
        raise ValueError(
            f"{name}: got {values.shape[2]} classes for a compatibility of "
            f"{list(compatibility.shape)}, expected one row and column per class."
        )
    return np.ascontiguousarray(image), np.ascontiguousarray(values, np.float32)


def _check_range(probs: np.ndarray) -> None:
    low, high = probs.min(), probs.max()
    if not (low >= 0 and high < 1.001):
        raise ValueError(
            f"probs: got values from {low:.4g} to {high:.4g}, expected probabilities in 0..1 without "
            "NaN; apply softmax to logits first."
        )


def _checked_compatibility(matrix) -> np.ndarray:
    matrix = np.ascontiguousarray(matrix, np.float32)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"compatibility: got shape {list(matrix.shape)}, expected a finite [classes, classes].")
    return matrix
