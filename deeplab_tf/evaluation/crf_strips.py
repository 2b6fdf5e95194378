"""The pictures that the CRF changed most, iteration by iteration (the paper's Fig. 5), for the report."""

from __future__ import annotations

import dataclasses

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.strip import trace_strip
from deeplab_tf.pages.strips import Strip

_ITERATIONS = (0, 1, 2, 10)  # Fig. 5's
_SIDE = 320  # pixels of a cut-out; every iteration of the trace holds all its classes twice


@dataclasses.dataclass(frozen=True)
class _Cutout:
    id: str
    class_index: int
    image: np.ndarray
    probabilities: np.ndarray


class CrfStrips:
    """Keeps cut-outs of the pictures in which the CRF mended and spoiled most pixels, until the set is through.

    Args:
      crf: whose iterations are shown.
      class_names: by class id.
      ignore_label: id of void pixels.
    """

    def __init__(self, crf: DenseCRF, class_names, ignore_label: int = 255):
        self._crf, self._names, self._ignore_label = crf, class_names, ignore_label
        self._most = {"mended": (0, None), "spoiled": (0, None)}  # share of the picture's pixels, cut-out

    def offer(
        self, id: str, image: np.ndarray, label: np.ndarray, before: np.ndarray, after: np.ndarray, probabilities: np.ndarray
    ) -> None:
        """Looks at one picture: uint8 [height, width, 3], integer ids [height, width], float [height, width, K]."""
        known = label != self._ignore_label
        was, now = before == label, after == label
        for kind, changed in {"mended": known & now & ~was, "spoiled": known & was & ~now}.items():
            share = changed.mean()
            if share > self._most[kind][0]:
                ids = (after if kind == "mended" else before)[changed]
                part = window(changed)
                self._most[kind] = share, _Cutout(
                    id, int(np.bincount(ids).argmax()), image[part].copy(), probabilities[part].astype(np.float32)
                )

    def strips(self) -> list[Strip]:
        """The strips; those of the class that gained or lost most pixels."""
        made = []
        for kind, (_, cutout) in self._most.items():
            if cutout is None:
                continue
            _, trace = self._crf(cutout.image, cutout.probabilities, iterations_trace=True)
            shown = [n for n in _ITERATIONS if n < len(trace.scores)]
            maps = trace_strip(trace, cutout.class_index, shown)
            name = self._names[cutout.class_index]
            made.append(Strip.of(cutout.id, f"most pixels {kind}", name, shown, cutout.image, maps))
        return made


def window(changed: np.ndarray) -> tuple[slice, slice]:
    """A square of at most 320 pixels round the middle of the changed ones, inside the picture; from bool [height, width]."""
    middle = [int(np.median(places)) for places in np.nonzero(changed)]
    starts = [min(max(at - _SIDE // 2, 0), max(size - _SIDE, 0)) for at, size in zip(middle, changed.shape, strict=True)]
    return tuple(slice(start, start + _SIDE) for start in starts)
