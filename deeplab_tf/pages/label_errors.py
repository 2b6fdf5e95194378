"""Where the masks themselves are likely wrong: regions in which the network is sure of another class.

The criterion is that of confident learning (Northcutt et al. 2021; `cleanlab.segmentation.filter` applies it to pixels): a
pixel counts against its label where the probability of another class exceeds what the network gives that class on
average over the pixels labelled with it. Here pixels are joined into regions, a contour's width is left out, and regions
are ranked by the sum of their margins (predicted less labelled probability), so that a forgotten object comes before a
ragged edge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import cv2
import numpy as np

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.pages.pictures import photograph
from deeplab_tf.pages.ranking import Top

_SURE = 0.5  # probability below which a pixel is in no region, whatever its class' average
_CONTOUR = 7  # pixels: disagreements narrower than this are uncertain contours, not wrong labels
_SMALLEST = 1e-3  # of the picture
_SPARE = 8  # regions kept for one shown, as the averages are known at the end only
_SIDE = 240  # pixels of a cut-out in the page
_UNIT = 1 << 16  # probabilities are summed in whole parts, so that the sums are the same in every order


@dataclasses.dataclass(frozen=True)
class LabelError:
    """One region: cut-outs of picture, mask and prediction as data URIs.

    `probability` is the mean of the predicted class over the region, `pixels` its area.
    """

    id: str
    labelled: int
    predicted: int
    probability: float
    pixels: int
    image: str
    label: str
    prediction: str


class LabelErrors:
    """Collects the likeliest label errors of a set.

    Args:
      palette: RGB by class id, K rows.
      size: regions to show; 0 for none.
      ignore_label: id of void pixels, which are never label errors.
    """

    def __init__(self, palette, size: int = 8, ignore_label: int = 255):
        self._size, self._ignore_label = size, ignore_label
        self._colors = color_table(palette[:256], void_color=(160, 160, 160), ignore_label=ignore_label)
        self._sums, self._pixels = np.zeros(len(palette), np.int64), np.zeros(len(palette), np.int64)
        self._top, self._seen = Top(size * _SPARE), 0

    def offer(self, id: str, image: np.ndarray, label: np.ndarray, probabilities: np.ndarray, place: int | None = None) -> None:
        """Looks at one picture.

        Args:
          id: name of the picture.
          image: uint8 [height, width, 3] RGB.
          label: integer [height, width] true ids.
          probabilities: float [height, width, K], of the network before any CRF.
          place: number of the picture in the set; None: the next.
        """
        place = self._seen if place is None else place
        self._seen += 1
        if not self._size:
            return
        known = label != self._ignore_label
        given = np.where(known, label, 0)
        own = _of(probabilities, given)
        classes = len(self._sums)
        self._sums += np.bincount(given[known], np.rint(own[known] * _UNIT), classes).astype(np.int64)
        self._pixels += np.bincount(given[known], minlength=classes)
        predicted = probabilities.argmax(axis=2)
        sure = _of(probabilities, predicted)
        against = np.uint8(known & (predicted != label) & (sure >= _SURE))
        against = cv2.morphologyEx(against, cv2.MORPH_OPEN, np.ones((_CONTOUR, _CONTOUR), np.uint8))
        count, regions, boxes, _ = cv2.connectedComponentsWithStats(against, connectivity=4)
        for region in range(1, count):
            x, y, width, height, area = boxes[region]
            if area < _SMALLEST * label.size:
                continue
            window = slice(y, y + height), slice(x, x + width)
            self._consider(id, (place, region), image, label, predicted, sure, own, window, regions[window] == region)

    def found(self) -> list[LabelError]:
        """The likeliest ones of the whole set, the likeliest first."""
        known = self._pixels > 0
        average = np.divide(self._sums / _UNIT, self._pixels, out=np.ones(len(known)), where=known)
        return [error for error in self._top.entries() if error.probability >= average[error.predicted]][: self._size]

    def state(self) -> dict:
        """What `add_state` of another one takes; JSON-able."""
        found = [(margin, place, vars(error)) for margin, place, error in self._top.rows()]
        return {"sums": self._sums.tolist(), "pixels": self._pixels.tolist(), "found": found}

    def add_state(self, state: Mapping) -> None:
        """Adds what was found in another part of the set."""
        self._sums += state["sums"]
        self._pixels += state["pixels"]
        for margin, place, error in state["found"]:
            self._top.add(margin, *place, entry=LabelError(**error))

    def _consider(self, id, place, image, label, predicted, sure, own, window, inside) -> None:
        """Keeps one region, the part of it that has its commonest pair of classes, if its margin is large enough."""
        classes = len(self._sums)
        pairs = label[window][inside].astype(np.int64) * classes + predicted[window][inside]
        pair = int(np.bincount(pairs).argmax())
        labelled, found = divmod(pair, classes)
        chosen = pairs == pair
        probability = sure[window][inside][chosen]
        margin = float((probability - own[window][inside][chosen]).sum())
        if not self._top.admits(margin, *place):
            return
        around = _around(window, label.shape)
        views = image[around], self._colors[label[around]], self._colors[predicted[around]]
        uris = [photograph(np.ascontiguousarray(view), _SIDE) for view in views]
        error = LabelError(id, labelled, found, float(probability.mean()), int(chosen.sum()), *uris)
        self._top.add(margin, *place, entry=error)


def _of(probabilities: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """float32 [height, width]: what each pixel's class of `ids` is given; a fifth of the time of a maximum over classes."""
    return np.take_along_axis(probabilities, ids[..., None], axis=2)[..., 0].astype(np.float32)


def _around(window: tuple[slice, slice], size: tuple[int, int]) -> tuple[slice, slice]:
    """The window with half of its longer side round it, square where the picture allows."""
    half = max(part.stop - part.start for part in window)
    middles = [(part.start + part.stop) // 2 for part in window]
    return tuple(slice(max(middle - half, 0), min(middle + half, end)) for middle, end in zip(middles, size, strict=True))
