"""`Segmenter`: a trained network as a page or a pipeline needs it, whatever it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Segmenter:
    """Pictures in, probabilities out, and what the numbers mean.

    Attributes:
      name: for people.
      class_names, palette: by class, names and RGB.
      segment: uint8 [height, width, 3] RGB -> float32 [height, width, K].
      segment_batch: uint8 [batch, height, width, 3] -> float32 [batch, height, width, K]; None: one by one.
      ids: the data set's own id of each class, as its masks hold them; None where nobody knows.
      label: uint8 [height, width, 3] RGB -> class ids [height, width] with less memory; None: there is no such way.
      origin: JSON-able facts that the probabilities depend on beside the picture.
      about: what an exported network says of itself.
    """

    name: str
    class_names: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    segment: Callable[[np.ndarray], np.ndarray]
    segment_batch: Callable[[np.ndarray], np.ndarray] | None = None
    ids: Sequence[int] | None = None
    label: Callable[[np.ndarray], np.ndarray] | None = None
    origin: Mapping[str, object] = dataclasses.field(default_factory=dict)
    about: Mapping = dataclasses.field(default_factory=dict)
