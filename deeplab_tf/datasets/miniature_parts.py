"""What `miniature_hard` is made of, named part by part: in ImageNet's place under the paper in miniature.

The scenes of `miniature_hard` in other colours, with a class for every part and ground that can be told by looking at it
closely: water, stem, head, leg, tail, string, and bodies by their texture. A trunk that was trained on them sees what its
surroundings say of an object, as one from ImageNet would; what to make of it, the rows of the paper learn.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from deeplab_tf.datasets import miniature_hard
from deeplab_tf.datasets.miniature_hard import BALL, BEAST, BENCH, BOAT, CRATE, FLOWER, KITE, STREAMER
from deeplab_tf.datasets.scenes import files, outlines

# First seed and number of scenes of each split; no other set has them, and colours are those of miniature_hard's `pretrain`.
SEEDS = {"train": (5_000_000, 1200), "val": (6_000_000, 100)}
_WATER = 1
_BODIES = {BALL: 2, FLOWER: 2, CRATE: 3, BOAT: 3, BEAST: 4, BENCH: 4, KITE: 5, STREAMER: 6}
_PARTS = {outlines.STEM: 7, outlines.HEAD: 8, outlines.LEG: 9, outlines.TAIL: 10, outlines.STRING: 11}


def ensure(data_dir: str | os.PathLike) -> pathlib.Path:
    """Renders the splits into `data_dir`, as `scenes.files.ensure` says."""
    return files.ensure(data_dir, "miniature_parts", SEEDS, render)


def render(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene.

    Args:
      seed: any integer >= 0; the same seed gives the same scene.

    Returns:
      The picture of `miniature_hard` with that seed, and its mask, uint8 [height, width]: 0 background, 1 water, 2 ball,
      3 wood, 4 trunk, 5 fields, 6 bands, 7 stem, 8 head, 9 leg, 10 tail, 11 string; no void, which would hide what is thin.
    """
    image, drawn, water = miniature_hard.scene(seed)
    label = np.where(water > 0, np.uint8(_WATER), np.uint8(0))
    for kind, shape in drawn:
        train_ids = np.zeros(256, np.uint8)
        train_ids[[outlines.BODY, *_PARTS]] = _BODIES[kind], *_PARTS.values()
        label = np.where(shape > 0, train_ids[shape], label)
    return image, label
