"""pydensecrf.utils by its own names and layouts: labels or probabilities to energies, pictures to features.

Arrays are classes first and flat behind, [classes, pixels], as pydensecrf has them.
"""

import logging
from collections.abc import Sequence

import numpy as np

from deeplab_tf.crf.labels import unary_from_labels as _unary_from_labels

_log = logging.getLogger(__name__)


def unary_from_labels(labels: np.ndarray, n_labels: int, gt_prob: float, zero_unsure: bool = True) -> np.ndarray:
    """Energies of labels that are right with probability `gt_prob`.

    Args:
        labels: integers of any shape. With `zero_unsure` 0 may be anything and classes are 1..n_labels; without it
            classes are 0..n_labels - 1.
        n_labels: how many classes, 0 not counted where it is unsure.
        gt_prob: above 0 and below 1.
        zero_unsure: whether 0 is unsure.

    Returns:
        float32 [n_labels, pixels].

    Raises:
        ValueError: labels or gt_prob out of range (pydensecrf raises AssertionError and IndexError).
    """
    flat = np.asarray(labels).reshape(1, -1)
    if zero_unsure:
        unary = _unary_from_labels(flat, gt_prob, unsure=0, num_classes=n_labels + 1)[..., 1:]
    else:
        unary = _unary_from_labels(flat, gt_prob, num_classes=n_labels)
    return np.ascontiguousarray(unary[0].T)


def compute_unary(labels: np.ndarray, M: int, GT_PROB: float = 0.5) -> np.ndarray:
    """Deprecated name of `unary_from_labels`."""
    _log.warning("pydensecrf.compute_unary is deprecated, use unary_from_labels instead.")
    return unary_from_labels(labels, M, GT_PROB)


def unary_from_softmax(sm: np.ndarray, scale: float | None = None, clip: float | None = 1e-5) -> np.ndarray:
    """Energies of class probabilities.

    Args:
        sm: float [classes, ...], 0..1.
        scale: in (0, 1]; mixes with the uniform distribution, which keeps 1 - scale. None: as they are.
        clip: least probability; None: 0 becomes infinite energy.

    Returns:
        float32 [classes, pixels].

    Raises:
        ValueError: scale out of range (pydensecrf raises AssertionError).
    """
    classes = sm.shape[0]
    if scale is not None:
        if not 0 < scale <= 1:
            raise ValueError(f"scale: got {scale!r}, expected a number above 0 and at most 1.")
        sm = scale * sm + (1 - scale) / classes
    if clip is not None:
        sm = np.clip(sm, clip, 1.0)
    return -np.log(sm).reshape(classes, -1).astype(np.float32)


def softmax_to_unary(sm: np.ndarray, GT_PROB: float = 1) -> np.ndarray:
    """Deprecated name of `unary_from_softmax`, without its clipping."""
    _log.warning("pydensecrf.softmax_to_unary is deprecated, use unary_from_softmax instead.")
    return unary_from_softmax(sm, None if GT_PROB == 1 else GT_PROB, clip=None)


def create_pairwise_gaussian(sdims: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    """Position features of a grid of any dimension.

    Args:
        sdims: the kernel's width in each dimension, pixels.
        shape: the grid's size in each dimension.

    Returns:
        float32 [dimensions, pixels], positions in units of the widths, in the order of `shape`: y before x.
    """
    grid = _grid(sdims, shape)
    return grid.reshape(len(grid), -1)


def create_pairwise_bilateral(
    sdims: Sequence[float], schan: float | Sequence[float], img: np.ndarray, chdim: int = -1
) -> np.ndarray:
    """Position and channel features of a picture or volume with any number of channels.

    Args:
        sdims: the kernel's width in each dimension, pixels.
        schan: its width in each channel, or one number for all.
        img: the picture.
        chdim: which dimension holds the channels; -1: none does, it has one channel.

    Returns:
        float32 [dimensions + channels, pixels].
    """
    channels = (img[None] if chdim == -1 else np.moveaxis(img, chdim, 0)).astype(np.float32)
    _divide(channels, [schan] * len(channels) if np.ndim(schan) == 0 else schan, "schan", "channels")
    features = np.concatenate([_grid(sdims, channels.shape[1:]), channels])
    return features.reshape(len(features), -1)


def _grid(sdims, shape) -> np.ndarray:
    grid = np.indices(shape, np.float32)
    _divide(grid, sdims, "sdims", "dimensions")
    return grid


def _divide(features: np.ndarray, widths, name: str, what: str) -> None:
    if len(widths) != len(features):
        raise ValueError(f"{name}: got {len(widths)} widths, expected one for each of the {len(features)} {what}.")
    for feature, width in zip(features, widths, strict=True):
        feature /= width
