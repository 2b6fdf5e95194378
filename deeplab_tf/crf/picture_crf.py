"""`PictureCrf`: the CRF of one picture under parameters that change, as a page with sliders or a search asks for it."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams

TRACE_MEMORY = 2**30  # bytes of all iterations of a picture, above which each is run by itself


class PictureCrf:
    """One picture and its probabilities; each call refines them with other parameters.

    The lattices depend on the widths alone, so that they are kept while weights and iterations move. One object may serve
    several threads at once.

    Args:
        image, probs: as `DenseCRF` takes them; checked in the first call.
        crf: the engine, its threads and limits; its own parameters do not count.
        kept: pairs of lattices that stay in memory, those used last.
    """

    def __init__(self, image: np.ndarray, probs: np.ndarray, crf: DenseCRF, kept: int = 2):
        self.image, self.probs = image, probs
        self._crf = crf
        self._prepared = functools.lru_cache(kept)(self._prepare)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The likeliest class of every pixel before the CRF, integer [height, width]."""
        return self.probs.argmax(axis=-1)

    def __call__(self, params: CrfParams) -> np.ndarray:
        """float32 [height, width, classes], what `DenseCRF(params)(image, probs)` gives, to the bit.

        Raises:
            ValueError: as `DenseCRF` raises it.
        """
        return self._solve(params)(params)

    def labels_after(self, params: CrfParams, iterations: Sequence[int]) -> Iterator[np.ndarray]:
        """The likeliest classes, integer [height, width], after each of so many iterations; `params` says all else.

        Raises:
            ValueError: as `DenseCRF` raises it.
        """
        longest = dataclasses.replace(params, iterations=max(iterations))
        if 2 * (longest.iterations + 1) * self.probs.nbytes <= TRACE_MEMORY:
            _, trace = self._solve(longest)(longest, iterations_trace=True)
            yield from (trace.beliefs[step].argmax(axis=-1) for step in iterations)
        else:
            yield from (self(dataclasses.replace(params, iterations=step)).argmax(axis=-1) for step in iterations)

    def _solve(self, params: CrfParams):
        return self._prepared(params.sigma_alpha, params.sigma_beta, params.sigma_gamma, params.normalization)

    def _prepare(self, sigma_alpha: float, sigma_beta: float, sigma_gamma: float, normalization: str):
        widths = CrfParams(sigma_alpha=sigma_alpha, sigma_beta=sigma_beta, sigma_gamma=sigma_gamma, normalization=normalization)
        return self._crf.with_params(widths).prepared(self.image, self.probs)
