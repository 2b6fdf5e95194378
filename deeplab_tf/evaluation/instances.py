"""Cityscapes' instance maps, which lie beside the masks where they were unpacked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from deeplab_tf.datasets.samples import Sample

_MASK = re.compile(r"_(labelIds|labelTrainIds|color)\.png$")


def instance_reader(samples: Iterable[Sample]) -> Callable[[str], np.ndarray] | None:
    """id -> integer [height, width] as *_instanceIds.png holds it; None unless all pictures have one."""
    paths = {one.id: _MASK.sub("_instanceIds.png", one.label or "") for one in samples}
    if not paths or not all(path.endswith("_instanceIds.png") and os.path.isfile(path) for path in paths.values()):
        return None

    def read(id: str) -> np.ndarray:
        with Image.open(paths[id]) as picture:
            return np.asarray(picture)

    return read
