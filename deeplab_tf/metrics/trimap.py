"""Mean IoU in narrow bands round the boundaries of objects (the paper's Fig. 10).

Two definitions of the band of width w pixels are in use, and a curve says which one it is:

* "void": the published one, for masks whose contours are drawn in void (PASCAL VOC val): the void pixels dilated by a
  square of side 2w+1, minus the void pixels themselves.
* "label_change": for masks without such contours (SBD's masks of train_aug have none; CamVid's void is no contour): the
  pixels that have, within a square of side 2w-1 round them, a pixel whose neighbour (left, right, above, below) carries
  another label. Void pixels are left out, and a step from a class to void is no label change. So w = 1 is the two rows of
  pixels along a boundary.

Widths are nested, so one pass over a picture serves all of them: a pixel's distance to the boundary says which bands it is in.
"""

from collections.abc import Sequence

import numpy as np

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.distance import chessboard_distance

DEFINITIONS = ("void", "label_change")


def boundary_distance(label: np.ndarray, definition: str, ignore_label: int | None = 255) -> np.ndarray:
    """Smallest band that each pixel of a label map belongs to.

    Args:
        label: integer [height, width] class ids and `ignore_label`.
        definition: "void" or "label_change", see the module.

    Returns:
        int32 [height, width]: a pixel is in the band of width w if its value is in 1..w; 0 for void pixels,
        which are in no band, and a number larger than the picture where there is no boundary at all.
    """
    label = np.asarray(label)
    if label.ndim != 2:
        raise ValueError(f"label has shape {list(label.shape)}, expected [height, width]")
    void = label == ignore_label
    if definition == "void":
        seeds, first = void, 0
    elif definition == "label_change":
        seeds, first = beside_another_label(label, void), 1
    else:
        raise ValueError(f"definition is {definition!r}, expected one of {', '.join(DEFINITIONS)}")
    if not seeds.any():
        return np.where(void, 0, 1 + max(label.shape)).astype(np.int32)
    # Dilating by a square of side 2w+1 reaches exactly the pixels at a chessboard distance of at most w.
    return np.where(void, np.int32(0), chessboard_distance(seeds) + np.int32(first))


def beside_another_label(label: np.ndarray, void: np.ndarray) -> np.ndarray:
    """bool [height, width]: pixels with another label left, right, above or below; void is neither here nor there."""
    beside = np.zeros(label.shape, bool)
    for axis in (0, 1):
        ahead = tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
        behind = tuple(slice(None, -1) if a == axis else slice(None) for a in (0, 1))
        change = (label[ahead] != label[behind]) & ~void[ahead] & ~void[behind]
        beside[ahead] |= change
        beside[behind] |= change
    return beside


class TrimapCurve:
    """Confusion matrices of the bands of width 0, 1, ... `max_width` pixels, over a set of pictures.

    Args:
        num_classes: K.
        definition: "void" or "label_change", see the module.
        max_width: widest band, pixels; Fig. 10 goes to 40.
        ignore_label: id of void pixels.
    """

    def __init__(self, num_classes: int, definition: str, max_width: int = 40, ignore_label: int = 255):
        if definition not in DEFINITIONS:
            raise ValueError(f"definition is {definition!r}, expected one of {', '.join(DEFINITIONS)}")
        if max_width < 1:
            raise ValueError(f"max_width is {max_width} pixels, expected at least 1")
        self.definition = definition
        self.max_width = max_width
        self._rings = [ConfusionMatrix(num_classes, ignore_label) for _ in range(max_width + 1)]

    def update(self, label: np.ndarray, prediction: np.ndarray) -> None:
        """Adds one picture: integer [height, width] true ids (with void) and predicted ids."""
        label, prediction = np.asarray(label), np.asarray(prediction)
        if label.shape != prediction.shape:
            raise ValueError(
                f"label has shape {list(label.shape)} and prediction {list(prediction.shape)}, expected the same shape"
            )
        distance = boundary_distance(label, self.definition, self._rings[0].ignore_label)
        inside = (distance >= 1) & (distance <= self.max_width)
        distance, label, prediction = distance[inside], label[inside], prediction[inside]
        order = np.argsort(distance, kind="stable")
        ends = np.searchsorted(distance[order], np.arange(1, self.max_width + 2))
        for width in range(1, self.max_width + 1):
            ring = order[ends[width - 1] : ends[width]]
            self._rings[width].update(label[ring], prediction[ring])

    @property
    def rings(self) -> np.ndarray:
        """int64 [max_width + 1, K, K]: the counts at each distance; what curves of parts of a set are added by."""
        return np.stack([ring.matrix for ring in self._rings])

    def add_rings(self, rings: np.ndarray) -> None:
        """Adds the `rings` of another part of the set."""
        self._rings = [
            ring + ConfusionMatrix.from_matrix(more, ring.ignore_label) for ring, more in zip(self._rings, rings, strict=True)
        ]

    def band(self, width: int) -> ConfusionMatrix:
        """The confusion matrix of the band of `width` pixels, 0..max_width."""
        if not 0 <= width <= self.max_width:
            raise ValueError(f"width is {width} pixels, expected 0..{self.max_width}")
        total = self._rings[0]
        for ring in self._rings[1 : width + 1]:
            total = total + ring
        return total

    def mean_iou(self, widths: Sequence[int] | None = None) -> list[float]:
        """Mean IoU (0..1, classes with an empty union left out) of each band; NaN where a band has no pixel, as at width 0."""
        return [self.band(width).mean_iou() for width in (range(self.max_width + 1) if widths is None else widths)]
