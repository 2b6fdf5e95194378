"""The miniature data set: scenes rendered at run time, each a pure function of its seed.

Small, but with what makes segmentation hard: objects from a tenth to two thirds of the picture's side, textures, thin parts
(trunks, legs, strings), occlusion, colours that classes and background share in part, and void along the outlines.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from deeplab_tf.datasets.scenes import files, outlines, textures
from deeplab_tf.datasets.scenes.painting import Look, annotated, background, fill, photographed

# First seed and number of scenes of each split; the ranges do not meet.
SEEDS = {"train": (0, 600), "val": (1_000_000, 100)}
# By class: outline and look; hues of neighbours overlap.
_CLASSES = {
    1: (outlines.ball, Look(textures.stripes, (-0.06, 0.07), (0.65, 0.95))),
    2: (outlines.crate, Look(textures.planks, (0.04, 0.13), (0.45, 0.8))),
    3: (outlines.tree, Look(textures.leaves, (0.22, 0.40), (0.35, 0.8))),
    4: (outlines.beast, Look(textures.spots, (0.0, 1.0), (0.0, 0.18), extreme=True)),
    5: (outlines.kite, Look(textures.checks, (0.55, 0.85), (0.5, 0.9))),
}


def ensure(data_dir: str | os.PathLike) -> pathlib.Path:
    """Renders both splits into `data_dir`, as `scenes.files.ensure` says."""
    return files.ensure(data_dir, "miniature", SEEDS, render)


def render(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene.

    Args:
      seed: any integer >= 0; the same seed gives the same scene.

    Returns:
      The picture, uint8 [height, width, 3], RGB, height 160..200 and width 160..240, and its mask, uint8
      [height, width]: 0 background, 1 ball, 2 crate, 3 tree, 4 beast, 5 kite, 255 void.
    """
    random = np.random.default_rng(seed)
    height, width = int(random.integers(160, 201)), int(random.integers(160, 241))
    image = background(random, height, width)
    instances = np.zeros((height, width), np.uint8)
    classes = [0]
    sizes = random.uniform(22, 130, random.integers(3, 7))
    for size in sorted(sizes, reverse=random.random() < 0.8):  # mostly the small ones in front
        kind = int(random.integers(1, 6))
        center = random.uniform(0.08, 0.92, 2) * (width, height)
        outline, look = _CLASSES[kind]
        shape = outline(random, np.zeros_like(instances), center, size)
        classes.append(kind)
        instances[shape > 0] = len(classes) - 1
        fill(random, image, shape, look, size)
    return photographed(random, image), annotated(instances, classes)
