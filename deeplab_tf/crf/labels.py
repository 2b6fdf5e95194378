"""Integer masks to unary energies: what a person or another program drew, believed in part."""

import math

import numpy as np

_VOID = 255  # what most data sets call a pixel without a label
_NEVER = -math.log(1e-8)  # energy of an id that is no class


def unary_from_labels(
    labels: np.ndarray, certainty: float = 0.7, unsure: int | None = None, num_classes: int | None = None
) -> np.ndarray:
    """Energies -log P of a mask: P is `certainty` for a pixel's own label, the others share the rest evenly.

    The formula of pydensecrf's unary_from_labels, with labels that keep their ids.

    Args:
        labels: integer [height, width], ids 0..num_classes - 1 or `unsure`.
        certainty: how far the mask is trusted, above 0 and below 1.
        unsure: the id of pixels that may be anything, all classes alike (255 in VOC); None: there are none. Where it lies
            among the classes (0 as in pydensecrf's zero_unsure) it is none of them and wins nowhere.
        num_classes: None takes the highest id that occurs, plus one.

    Returns:
        float32 [height, width, num_classes].

    Raises:
        ValueError: another shape or type, an id out of range, a certainty out of range; and 255 among the labels where
            nothing says whether it is a class.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size:
        raise ValueError(f"labels: got shape {list(labels.shape)} {labels.dtype}, expected integer ids [height, width].")
    if isinstance(certainty, bool) or not 0 < certainty < 1:
        raise ValueError(f"certainty: got {certainty!r}, expected a number above 0 and below 1.")
    known = labels != unsure if unsure is not None else np.ones(labels.shape, bool)
    channels = _channels(labels[known], unsure, num_classes)
    classes = channels - (unsure is not None and 0 <= unsure < channels)
    if classes < 1:
        raise ValueError(f"labels: got no class but unsure ({unsure}), expected at least one; pass num_classes=.")
    own, others = (certainty, (1 - certainty) / (classes - 1)) if classes > 1 else (1, 1)
    unary = np.full((*labels.shape, channels), -math.log(others), np.float32)
    place = np.where(known, labels, 0).astype(np.intp)[..., None]
    np.put_along_axis(unary, place, np.float32(-math.log(own)), axis=-1)
    unary[~known] = math.log(classes)
    if classes < channels:
        unary[..., unsure] = _NEVER
    return unary


def _channels(ids: np.ndarray, unsure: int | None, num_classes: int | None) -> int:
    """How many ids there are from 0 on; refuses those beyond."""
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    if num_classes is None and unsure is None and high == _VOID:
        raise ValueError(
            "labels: got the id 255 and no num_classes; say unsure=255 if it marks pixels without a label, "
            "num_classes=256 if it is a class."
        )
    classes = high + 1 if num_classes is None else num_classes
    if isinstance(classes, bool) or classes != int(classes) or classes < 1:
        raise ValueError(f"num_classes: got {num_classes!r}, expected a whole number of at least 1.")
    if low < 0 or high >= classes:
        known = f"0..{int(classes) - 1}" + (f" or {unsure} (unsure)" if unsure is not None else "")
        raise ValueError(
            f"labels: got the id {low if low < 0 else high}, expected {known}; pass unsure= for pixels without "
            "a label, num_classes= for more classes."
        )
    return int(classes)
