"""How the CRF changes one class of one picture from iteration to iteration (the paper's Fig. 5), for a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from deeplab_tf.pages.pictures import photograph

_SIDE = 960  # pixels, longer side of the strip in the page


@dataclasses.dataclass(frozen=True)
class Strip:
    """One strip.

    Attributes:
      id: name of the picture; `why` it is shown.
      class_name: whose maps are drawn.
      iterations: the columns.
      image, maps: the cut-out, and score maps above belief maps; data URIs.
    """

    id: str
    why: str
    class_name: str
    iterations: tuple[int, ...]
    image: str
    maps: str

    @classmethod
    def of(cls, id: str, why: str, class_name: str, iterations: Sequence[int], image: np.ndarray, maps: np.ndarray) -> Strip:
        """From a picture, uint8 [height, width, 3], and uint8 [2 * height, columns * width, 3], as
        `deeplab_tf.crf.strip.trace_strip` draws it."""
        return cls(id, why, class_name, tuple(iterations), photograph(image, _SIDE // 3), photograph(maps, _SIDE))
