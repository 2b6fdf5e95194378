"""`GaussianFilter`: Gaussian filtering over any features, by the engine or its NumPy twin."""

import numpy as np

from deeplab_tf.crf.engines import MEMORY_LIMIT, checked_memory_limit, checked_threads, choose_backend, engine
from deeplab_tf.crf.mean_field import Kernel
from deeplab_tf.crf.params import NORMALIZATIONS

BACKENDS = ("auto", "native", "numpy")
MOST_DIMENSIONS = 12  # of the features; the lattice has one more corner around each sample, and its error grows with them


class GaussianFilter:
    """Multiplies by the matrix of exp(-|f_i - f_j|^2 / 2) over fixed features, approximated on the permutohedral lattice
    (Adams, Baek, Davis 2010), and normalised.

    With K the lattice's matrix and s = K 1 its row sums, the filter is diag(s)^-1/2 K diag(s)^-1/2 for "symmetric",
    diag(s)^-1 K for "after", K diag(s)^-1 for "before" and K for "none". One object may serve several threads at once.

    Args:
        features: float [pixels, dimensions], 1 to 12 dimensions, already divided by the kernel's widths.
        normalization: one of `params.NORMALIZATIONS`.
        backend: "native" (the compiled engine), "numpy" (its slow twin) or "auto": native where it was built.
        threads: threads of the native engine; None takes all processors this process may use.

    Raises:
        ValueError: features of another shape, not finite or so spread that the lattice's points cannot be told apart, or
            an unknown normalization or backend.
    """

    def __init__(
        self, features: np.ndarray, *, normalization: str = "symmetric", backend: str = "auto", threads: int | None = None
    ):
        features = checked_features(features)
        _check_normalization(normalization)
        self._pixels = len(features)
        if choose_backend(backend, BACKENDS) == "native":
            self._kernels = engine().Kernels.of_features(
                [features], [normalization], checked_threads(threads), engine().Workspace(), checked_memory_limit(MEMORY_LIMIT)
            )
            norm = self._kernels.norm(0)
        else:
            checked_threads(threads)
            self._kernels, self._slow = None, Kernel(features, normalization)
            norm = self._slow.norm
        self._norm = np.ones(self._pixels, np.float32) if norm is None else norm

    @property
    def norm(self) -> np.ndarray:
        """float32 [pixels], what the normalisation multiplies by: s^-1/2 for "symmetric", s^-1 for "after" and "before",
        ones for "none"."""
        return self._norm

    def __call__(self, values: np.ndarray, *, transpose: bool = False) -> np.ndarray:
        """The matrix, or its transpose, times `values`.

        Args:
            values: float [pixels, channels], finite.
            transpose: the transposed matrix, which is the filter's exact adjoint: the lattice's axes are blurred in the
                reverse order, and "before" and "after" trade places.

        Returns:
            float32 [pixels, channels].

        Raises:
            ValueError: values of another shape or type, or more than the native engine's `engines.MEMORY_LIMIT` is needed.
        """
        values = np.asarray(values)
        if values.ndim != 2 or len(values) != self._pixels or 0 in values.shape or values.dtype.kind not in "fiu":
            raise ValueError(
                f"values: got shape {list(values.shape)} {values.dtype}, expected float "
                f"[{self._pixels}, channels] as there are {self._pixels} rows of features."
            )
        values = np.ascontiguousarray(values, np.float32)
        if self._kernels is not None:
            return self._kernels.filter(0, values, transpose)
        return self._slow.apply(values, transpose)


def checked_features(features) -> np.ndarray:
    """float32 [pixels, dimensions].

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    features = np.asarray(features)
    if (
        features.ndim != 2
        or not len(features)
        or not 1 <= features.shape[1] <= MOST_DIMENSIONS
        or features.dtype.kind not in "fiu"
    ):
        raise ValueError(
            f"features: got shape {list(features.shape)} {features.dtype}, expected float [pixels, dimensions] "
            f"with 1 to {MOST_DIMENSIONS} dimensions."
        )
    features = np.ascontiguousarray(features, np.float32)
    if not np.isfinite(features).all():
        raise ValueError("features: got NaN or infinite values, expected finite positions divided by the kernel's widths.")
    return features


def _check_normalization(normalization: str) -> None:
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization: got {normalization!r}, expected one of {', '.join(NORMALIZATIONS)}.")
