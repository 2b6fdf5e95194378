"""The pictures that the CRF changed most, iteration by iteration (the paper's Fig. 5), for the report."""

from __future__ import annotations

import dataclasses

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.strip import trace_strip
from deeplab_tf.pages.ranking import Top
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
        self._most = {kind: Top(1) for kind in ("mended", "spoiled")}  # by share of the picture's pixels
        self._seen = 0

    def offer(
        self, id: str, image: np.ndarray, label: np.ndarray, before: np.ndarray, after: np.ndarray, probabilities: np.ndarray,
        place: int | None = None,
    ) -> None:  # fmt: skip
        """Looks at one picture: uint8 [height, width, 3], integer ids [height, width], float [height, width, K]; `place` is its
        number in the set, None: the next."""
        place = self._seen if place is None else place
        self._seen += 1
        known = label != self._ignore_label
        was, now = before == label, after == label
        for kind, changed in {"mended": known & now & ~was, "spoiled": known & was & ~now}.items():
            share = changed.mean()
            if share > 0 and self._most[kind].admits(share, place):
                ids = (after if kind == "mended" else before)[changed]
                part = window(changed)
                cutout = _Cutout(id, int(np.bincount(ids).argmax()), image[part].copy(), probabilities[part].astype(np.float32))
                self._most[kind].add(share, place, entry=cutout)

    def strips(self) -> list[Strip]:
        """The strips; those of the class that gained or lost most pixels."""
        return [strip for *_, strip in self.rows()]

    def rows(self) -> list[tuple[str, float, int, Strip]]:
        """(kind, share of the picture's pixels, its place, strip)."""
        return [
            (kind, share, place, self._strip(kind, cutout))
            for kind, top in self._most.items() for share, (place,), cutout in top.rows()
        ]  # fmt: skip

    def _strip(self, kind: str, cutout: _Cutout) -> Strip:
        _, trace = self._crf(cutout.image, cutout.probabilities, iterations_trace=True)
        shown = [n for n in _ITERATIONS if n < len(trace.scores)]
        maps = trace_strip(trace, cutout.class_index, shown)
        name = self._names[cutout.class_index]
        return Strip.of(cutout.id, f"most pixels {kind}", name, shown, cutout.image, maps)


def window(changed: np.ndarray) -> tuple[slice, slice]:
    """A square of at most 320 pixels round the middle of the changed ones, inside the picture; from bool [height, width]."""
    middle = [int(np.median(places)) for places in np.nonzero(changed)]
    starts = [min(max(at - _SIDE // 2, 0), max(size - _SIDE, 0)) for at, size in zip(middle, changed.shape, strict=True)]
    return tuple(slice(start, start + _SIDE) for start in starts)
