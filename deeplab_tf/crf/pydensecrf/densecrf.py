"""pydensecrf.densecrf by its own names and layouts, on this package's engine.

Arrays are classes first, [classes, pixels]. Unaries and features may be of any float type and layout; pictures are uint8
and compatibility arrays float32, as pydensecrf wants them. Matrices that pydensecrf wraps are NumPy arrays here. Like a
process of pydensecrf, a worker process of `multiprocessing` takes one thread, any other process all processors, unless
`threads=` says how many.

Not carried: gradients and the getting and setting of parameters, which pydensecrf does not wrap either; for a CRF that
learns see `deeplab_tf.MeanFieldCRF`.
"""

import enum
import multiprocessing
from numbers import Number

import numpy as np

from deeplab_tf.crf.feature_crf import FeatureCRF, PairwiseKernel


class KernelType(enum.IntEnum):
    """Which parameters of a kernel could be learned; inference is the same with all three."""

    CONST_KERNEL = 0
    DIAG_KERNEL = 1
    FULL_KERNEL = 2


class NormalizationType(enum.IntEnum):
    """Where a kernel's row sums divide: not at all, in front of the filter, behind it, half and half."""

    NO_NORMALIZATION = 0
    NORMALIZE_BEFORE = 1
    NORMALIZE_AFTER = 2
    NORMALIZE_SYMMETRIC = 3


CONST_KERNEL, DIAG_KERNEL, FULL_KERNEL = KernelType
NO_NORMALIZATION, NORMALIZE_BEFORE, NORMALIZE_AFTER, NORMALIZE_SYMMETRIC = NormalizationType
_NORMALIZATIONS = {
    NO_NORMALIZATION: "none",
    NORMALIZE_BEFORE: "before",
    NORMALIZE_AFTER: "after",
    NORMALIZE_SYMMETRIC: "symmetric",
}


_NEVER = 1e6  # energy in place of an infinite one: the engine wants finite ones, and exp(-this) is 0


class Unary:
    """Energies for `DenseCRF.setUnary`: float32 [classes, pixels]."""

    def __init__(self, energies):
        self.energies = energies


class ConstUnary(Unary):
    """Energies as they are, float [classes, pixels]."""

    def __init__(self, u):
        super().__init__(_matrix("u", u))


class LogisticUnary(Unary):
    """Energies L f of features: L float [classes, features], f float [features, pixels]."""

    def __init__(self, L, f):
        weights, features = _matrix("L", L), _matrix("f", f)
        if weights.shape[1] != len(features):
            raise ValueError(
                f"LogisticUnary: got L of shape {weights.shape} and f of {features.shape}, expected as many columns as rows."
            )
        super().__init__(weights @ features)


class DenseCRF:
    """A fully connected CRF over anything.

    Args:
        nvar: how many pixels, or whatever is labelled.
        nlabels: how many labels.
        threads: of the engine; None as the module says.
    """

    def __init__(self, nvar: int, nlabels: int, *_, threads: int | None = None, **__):
        self._nvar, self._nlabels = int(nvar), int(nlabels)
        if self._nvar < 0 or self._nlabels < 1:
            raise ValueError(f"DenseCRF: got {nvar} variables and {nlabels} labels, expected at least 0 and 1.")
        in_worker = multiprocessing.parent_process() is not None
        self._threads = threads or (1 if in_worker else None)
        self._unary: np.ndarray | None = None
        self._kernels: list[PairwiseKernel] = []
        self._crf: FeatureCRF | None = None

    def setUnary(self, u: Unary) -> None:
        """Takes the energies of a ConstUnary or LogisticUnary."""
        if not isinstance(u, Unary):
            raise TypeError(
                f"setUnary: got {type(u).__name__}, expected a ConstUnary or LogisticUnary; arrays go to setUnaryEnergy."
            )
        self.setUnaryEnergy(u.energies)

    def setUnaryEnergy(self, u: np.ndarray, f: np.ndarray | None = None) -> None:
        """Takes energies (-log P), float [labels, variables], infinite ones too; with `f` those of LogisticUnary(u, f).

        Raises:
            ValueError: another shape.
        """
        energies = _matrix("unary energy", u) if f is None else LogisticUnary(u, f).energies
        if energies.shape != (self._nlabels, self._nvar):
            raise ValueError(f"Bad shape for unary energy (Need {(self._nlabels, self._nvar)}, got {energies.shape})")
        self._unary = np.where(energies.T == np.inf, np.float32(_NEVER), energies.T).copy("C")

    def addPairwiseEnergy(
        self,
        features: np.ndarray,
        compat,
        kernel: KernelType = DIAG_KERNEL,
        normalization: NormalizationType = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Adds a Gaussian kernel over float features [dimensions, variables], already divided by its widths.

        Args:
            compat: a number, the Potts model's weight; float32 [labels], the diagonal of a cost matrix; or float32
                [labels, labels], a cost matrix, of which pydensecrf takes the symmetric part.
            kernel: has no influence on inference.
            normalization: where the row sums divide.

        Raises:
            ValueError: another shape or type.
        """
        features = _matrix("features", features)
        if features.shape[1] != self._nvar:
            raise ValueError(f"Bad shape for pairwise energy (Need (?, {self._nvar}), got {features.shape})")
        self._add(features.T.copy("C"), compat, kernel, normalization)

    def inference(self, n_iterations: int) -> np.ndarray:
        """Beliefs after so many iterations: float32 [labels, variables]; argmax over axis 0 is the labelling."""
        if not self._kernels:  # nothing to exchange
            return self._started().T
        return self._built().infer(self._energies(), max(0, int(n_iterations))).T

    def startInference(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, tmp1, tmp2 for `stepInference`: the beliefs before the first iteration (0 where no unary was set, as in
        pydensecrf), and two empty arrays."""
        beliefs = np.zeros((self._nvar, self._nlabels), np.float32) if self._unary is None else self._started()
        return beliefs.T, np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)

    def stepInference(self, Q: np.ndarray, tmp1: np.ndarray, tmp2: np.ndarray) -> None:
        """One more iteration, written into `Q`."""
        Q[...] = (self._built().step(self._energies(), Q.T) if self._kernels else self._started()).T

    def klDivergence(self, Q: np.ndarray) -> float:
        """Divergence of the beliefs from the CRF's distribution, but for a constant."""
        Q = _matrix("Q", Q)
        if self._kernels:
            return self._built().kl_divergence(self._energies(), Q.T)
        return float((Q.astype(np.float64) * (self._energies().T + np.log(np.maximum(Q, 1e-20)))).sum())

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{type(self).__name__} does not carry {name!r}: it has what pydensecrf wraps, which is unaries, "
            "pairwise energies and inference; for learning see deeplab_tf.MeanFieldCRF."
        )

    def _add(self, features: np.ndarray, compat, kernel, normalization) -> None:
        cost = _compatibility(compat, self._nlabels)
        KernelType(kernel)
        self._kernels.append(PairwiseKernel(features, cost, _NORMALIZATIONS[NormalizationType(normalization)]))
        self._crf = None

    def _built(self) -> FeatureCRF:
        if self._crf is None:
            self._crf = FeatureCRF(self._kernels, threads=self._threads)
        return self._crf

    def _energies(self) -> np.ndarray:
        return np.zeros((self._nvar, self._nlabels), np.float32) if self._unary is None else self._unary

    def _started(self) -> np.ndarray:
        powers = np.exp(self._energies().min(axis=1, keepdims=True) - self._energies())
        return powers / powers.sum(axis=1, keepdims=True)


class DenseCRF2D(DenseCRF):
    """A fully connected CRF over the pixels of a picture; pixels are counted row by row."""

    def __init__(self, w: int, h: int, nlabels: int, *_, threads: int | None = None, **__):
        super().__init__(int(w) * int(h), nlabels, threads=threads)
        self._w, self._h = int(w), int(h)

    def addPairwiseGaussian(
        self, sxy, compat, kernel: KernelType = DIAG_KERNEL, normalization: NormalizationType = NORMALIZE_SYMMETRIC
    ) -> None:
        """Adds a kernel over positions; `sxy` is its width in pixels, or (width in x, in y)."""
        self._add(self._positions(sxy, more=0).reshape(self._nvar, 2), compat, kernel, normalization)

    def addPairwiseBilateral(
        self,
        sxy,
        srgb,
        rgbim: np.ndarray,
        compat,
        kernel: KernelType = DIAG_KERNEL,
        normalization: NormalizationType = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Adds a kernel over positions and colours.

        Args:
            sxy: as in `addPairwiseGaussian`.
            srgb: its width in grey levels, or one for each channel.
            rgbim: uint8 [height, width, 3].

        Raises:
            ValueError: another shape or type.
        """
        rgbim = np.asarray(rgbim)
        if rgbim.dtype != np.uint8:
            raise ValueError(f"rgbim: got {rgbim.dtype}, expected uint8 in 0..255.")
        if rgbim.ndim != 3 or rgbim.shape[:2] != (self._h, self._w):
            raise ValueError(f"Bad shape for pairwise bilateral (Need {(self._h, self._w, 3)}, got {rgbim.shape})")
        if rgbim.shape[2] != 3:
            raise ValueError(
                "addPairwiseBilateral only works for RGB images. For other types, use "
                "`utils.create_pairwise_bilateral` to construct your own pairwise energy and add it through "
                "`addPairwiseEnergy`."
            )
        features = self._positions(sxy, more=3)
        np.divide(rgbim, np.array(_widths("srgb", srgb, 3), np.float32), out=features[..., 2:])
        self._add(features.reshape(self._nvar, 5), compat, kernel, normalization)

    def _positions(self, sxy, more: int) -> np.ndarray:
        """float32 [height, width, 2 + more]: x and y in units of the widths, and room for more."""
        sx, sy = _widths("sxy", sxy, 2)
        features = np.empty((self._h, self._w, 2 + more), np.float32)
        features[..., 0] = np.arange(self._w, dtype=np.float32) / np.float32(sx)
        features[..., 1] = (np.arange(self._h, dtype=np.float32) / np.float32(sy))[:, None]
        return features


def _matrix(name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name}: got shape {values.shape} {values.dtype}, expected a float array of 2 dimensions, labels or "
            "features first and pixels flat behind."
        )
    return values.astype(np.float32, copy=False)


def _widths(name: str, widths, count: int) -> tuple:
    widths = (widths,) * count if isinstance(widths, Number) else tuple(widths)[:count]
    if len(widths) < count or not all(width > 0 for width in widths):
        raise ValueError(f"{name}: got {widths}, expected a number above 0 or {count} of them.")
    return widths


def _compatibility(compat, labels: int):
    if isinstance(compat, int | float | np.number):
        return float(compat)
    compat = np.asarray(compat)
    if compat.ndim > 2 or compat.ndim == 0:
        raise ValueError(f"LabelCompatibility of dimension >2 not meaningful, got {compat.ndim}.")
    if compat.dtype != np.float32:
        raise ValueError(f"compat: got {compat.dtype}, expected float32; use compat.astype(np.float32).")
    if set(compat.shape) != {labels}:
        raise ValueError(f"compat: got shape {compat.shape}, expected ({labels},) or ({labels}, {labels}).")
    return compat.copy() if compat.ndim == 1 else (compat + compat.T) / 2
