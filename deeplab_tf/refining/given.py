"""What is given for a picture, a mask or maps, as energies for the CRF and as the labels it would be without."""

from collections.abc import Iterator, Sequence

import numpy as np

from deeplab_tf.crf.dense_crf import MIN_PROBABILITY
from deeplab_tf.crf.labels import unary_from_labels
from deeplab_tf.errors import UserError
from deeplab_tf.refining.background import Background
from deeplab_tf.refining.maps import Maps
from deeplab_tf.refining.rasters import Mask

_NO_CLASS = -1  # among positions of classes
_ROUNDING = 0.02  # of probabilities in half precision or score files
_LEAST_ACTIVATION = 1e-5  # pydensecrf's unary_from_softmax, with which AffinityNet's parameters were chosen


class GivenMask:
    """A mask that is right with some certainty; its classes are those that occur in it, as in pydensecrf's example.

    Attributes:
        size: (height, width).
        ids: uint8 [classes], what the classes are called in the file.
        has_unsure: whether some of its pixels are unsure.
    """

    def __init__(self, mask: Mask, certainty: float, unsure: int | None, band: int = 1024):
        self.mask, self.size, self.unsure = mask, mask.size, unsure
        self._certainty = certainty
        occurs = np.zeros(256, bool)
        for start in range(0, self.size[0], band):
            rows = slice(start, min(start + band, self.size[0]))
            occurs |= np.bincount(mask.window(rows, slice(0, self.size[1])).ravel(), minlength=256) > 0
        self.has_unsure = unsure is not None and bool(occurs[unsure])
        if unsure is not None:
            occurs[unsure] = False
        found = np.flatnonzero(occurs)
        self.ids = (found if found.size else np.array([unsure])).astype(np.uint8)
        self._place = np.full(256, _NO_CLASS, np.int16)
        self._place[self.ids] = np.arange(len(self.ids))
        if unsure is not None:
            self._place[unsure] = _NO_CLASS

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """uint8 [rows, columns], as they are in the file."""
        return self.mask.window(rows, columns)

    def unrefined(self, window: np.ndarray) -> np.ndarray:
        """The labels of a window as they were given."""
        return window

    def energies(self, window: np.ndarray) -> Iterator[np.ndarray]:
        """One float32 [rows, columns, classes], -log P."""
        yield unary_from_labels(self._place[window], self._certainty, _NO_CLASS, len(self.ids))

    def decided(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """The refined labels of what `energies` gave."""
        return labels[0]


class GivenMaps:
    """Maps of classes, with no, one or two backgrounds; between two, where only one finds an object, is void.

    Attributes:
        size: (height, width).
        ids: uint8 [classes], with 0, the background, in front where there is one.
    """

    def __init__(self, maps: Maps, backgrounds: Sequence[Background], certainty: float | None, unsure: int | None):
        self.size = maps.values.shape[:2]
        self.unsure = unsure
        self.ids = np.array((0, *maps.ids) if backgrounds else maps.ids, np.uint8)
        self._maps, self._backgrounds, self._certainty = maps, backgrounds, certainty

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """float32 [rows, columns, maps].

        Raises:
            UserError: values out of 0..1, or maps that sum to 1 where a background is to be added, or do not where none is.
        """
        maps = self._maps.window(rows, columns)
        total = maps.sum(axis=-1)
        low, high = (float(total.min()), float(total.max())) if maps.shape[-1] else (0.0, 0.0)
        is_whole = 1 - _ROUNDING < low and high < 1 + _ROUNDING
        if is_whole and self._backgrounds:
            raise UserError(
                "maps: got maps that sum to 1 in every pixel, as those of all classes do, and a background to add; "
                "give --background=none."
            )
        if not is_whole and not self._backgrounds:
            raise UserError(
                f"maps: got maps that sum to {low:.4g} up to {high:.4g} in a pixel, expected 1; give --background= "
                "or --preset=irn, affinitynet for activation maps, which leave out the background."
            )
        return maps

    def unrefined(self, window: np.ndarray) -> np.ndarray:
        """The best class of each pixel of a window."""
        return self.decided([self.ids[scores.argmax(axis=-1)] for scores in self._scores(window)])

    def energies(self, window: np.ndarray) -> Iterator[np.ndarray]:
        """A float32 [rows, columns, classes], -log P, for each background: of the scores or of their best classes."""
        least = _LEAST_ACTIVATION if self._backgrounds else MIN_PROBABILITY
        for scores in self._scores(window):
            if self._certainty is None:
                yield -np.log(np.maximum(scores, np.float32(least)))
            else:
                yield unary_from_labels(scores.argmax(axis=-1), self._certainty, num_classes=len(self.ids))

    def decided(self, labels: Sequence[np.ndarray]) -> np.ndarray:
        """One label map; of two the objects that the higher background leaves, the background that the lower one leaves."""
        if len(labels) == 1:
            return labels[0]
        surely, perhaps = labels
        return np.where(surely > 0, surely, np.where(perhaps > 0, self.unsure, 0)).astype(np.uint8)

    def _scores(self, window: np.ndarray) -> list[np.ndarray]:
        return [background.in_front_of(window) for background in self._backgrounds] or [window]


def refine_window(crf, given: GivenMask | GivenMaps, image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """uint8 [rows, columns] refined labels of one window; `image` is the picture's uint8 [rows, columns, 3]."""
    if len(given.ids) == 1:  # nothing to choose from
        return np.full(image.shape[:2], given.ids[0], np.uint8)
    return given.decided([given.ids[crf.from_unary(image, energy).argmax(axis=-1)] for energy in given.energies(window)])
