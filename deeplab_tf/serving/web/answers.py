"""The network's answers, kept for as long as sliders are moved over them, within a bound of memory."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.picture_crf import PictureCrf

_LATTICES = 3  # bytes of an answer's lattices, beside those of its probabilities; at 21 classes about half of it is used


class Answers:
    """Pictures with their probabilities, by what they are of; those used last are kept.

    Args:
      crf: the CRF's engine, for all of them.
      memory: bytes that those kept may take; one alone may take more.
    """

    def __init__(self, crf: DenseCRF, memory: float):
        self._crf, self._memory = crf, memory
        self._kept: collections.OrderedDict[Hashable, PictureCrf] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._network = threading.Lock()  # one picture at a time: a network takes all processors, and memory for one

    def of(self, key: Hashable, read: Callable[[], np.ndarray], segment: Callable[[np.ndarray], np.ndarray]) -> PictureCrf:
        """The answer that `key` stands for; made of `segment(read())` where it is not kept."""
        found = self._find(key)
        if found is None:
            with self._network:
                found = self._find(key)  # another request may have asked for the same
                if found is None:
                    image = read()
                    found = self._keep(key, PictureCrf(image, segment(image), self._crf))
        return found

    def _find(self, key: Hashable) -> PictureCrf | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: Hashable, answer: PictureCrf) -> PictureCrf:
        with self._lock:
            self._kept[key] = answer
            while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self._memory:
                self._kept.popitem(last=False)
        return answer


def _bytes(answer: PictureCrf) -> int:
    return answer.image.nbytes + _LATTICES * answer.probs.nbytes
