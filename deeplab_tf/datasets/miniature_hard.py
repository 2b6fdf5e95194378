"""The harder miniature data set, on which the paper's claims are tried: scenes rendered at run time.

As `miniature`, and beyond it

* every class at three scales: tiny (16 to 26 pixels), middle (38 to 60) and large (90 to 140);
* classes in pairs that share outline, colour and local texture and differ by something far away: a ball has a stem or not
  (flower), a crate stands on water or not (boat), a trunk on legs has head and tail or not (beast, bench), a kite has bands
  or fields as wide as a quarter of it (streamer, kite): a network that sees little round a pixel has to guess;
* a split `pretrain`, which stands in MS-COCO's place: twice as many scenes, with the same classes in other colours;
* thin parts (stems, legs, tails, strings) and textures with edges of their own, which mislead a CRF.
"""

from __future__ import annotations

import os
import pathlib
import typing

import cv2
import numpy as np

from deeplab_tf.datasets.scenes import files, outlines, textures
from deeplab_tf.datasets.scenes.painting import Look, annotated, background, fill, photographed

# First seed and number of scenes of each split; the ranges do not meet, nor those of miniature.
SEEDS = {"train": (2_000_000, 600), "val": (3_000_000, 150), "pretrain": (4_000_000, 1200)}
_TURN = 0.37  # of all hues in the split pretrain, in turns: the same classes in other colours
SIZES = ((16, 26), (38, 60), (90, 140))  # tiny, middle, large: the longest side of the trunk, in pixels
_SHARES = (0.35, 0.35, 0.3)
_ROUND = Look(textures.stripes, (-0.06, 0.07), (0.6, 0.95))
_WOOD = Look(textures.planks, (0.04, 0.13), (0.45, 0.8))
_GREY = Look(textures.spots, (0.0, 1.0), (0.0, 0.18), extreme=True)
_CLOTH = ((0.55, 0.85), (0.45, 0.9))
BALL, FLOWER, CRATE, BOAT, BEAST, BENCH, KITE, STREAMER = range(1, 9)
_CLASSES = {
    BALL: (outlines.ball, _ROUND), FLOWER: (outlines.flower, _ROUND), CRATE: (outlines.crate, _WOOD),
    BOAT: (outlines.crate, _WOOD), BEAST: (outlines.beast, _GREY), BENCH: (outlines.bench, _GREY),
    KITE: (outlines.kite, Look(textures.fields, *_CLOTH)), STREAMER: (outlines.kite, Look(textures.bands, *_CLOTH)),
}  # fmt: skip
_WATER = Look(textures.ripples, (0.5, 0.6), (0.2, 0.5))


class _Object(typing.NamedTuple):
    kind: int
    size: float
    center: np.ndarray


def ensure(data_dir: str | os.PathLike) -> pathlib.Path:
    """Renders the splits into `data_dir`, as `scenes.files.ensure` says."""
    return files.ensure(data_dir, "miniature_hard", SEEDS, render)


def render(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene.

    Args:
      seed: any integer >= 0; the same seed gives the same scene.

    Returns:
      The picture, uint8 [height, width, 3], RGB, height 160..200 and width 160..240, and its mask, uint8 [height, width]:
      0 background, 1 ball, 2 flower, 3 crate, 4 boat, 5 beast, 6 bench, 7 kite, 8 streamer, 255 void.
    """
    image, drawn, _ = scene(seed)
    instances = np.zeros(image.shape[:2], np.uint8)
    for number, (_, shape) in enumerate(drawn, start=1):
        instances[shape > 0] = number
    return image, annotated(instances, [0, *(kind for kind, _ in drawn)])


def scene(seed: int) -> tuple[np.ndarray, list[tuple[int, np.ndarray]], np.ndarray]:
    """What a scene is made of.

    Returns:
      The picture; class and shape of every object, from back to front, a shape as `scenes.outlines` draws it; where water was
      painted before them, uint8 [height, width].
    """
    random = np.random.default_rng(seed)
    height, width = int(random.integers(160, 201)), int(random.integers(160, 241))
    image = background(random, height, width)
    objects = _objects(random, height, width)
    water = _lakes(random, image, objects)
    drawn = []
    for kind, size, center in objects:
        if kind == CRATE and _touches(water, center, size):
            continue  # it would be a boat
        outline, look = _CLASSES[kind]
        shape = outline(random, np.zeros((height, width), np.uint8), center, size)
        drawn.append((kind, shape))
        fill(random, image, shape, _turned(look, seed), size)
    return photographed(random, image), drawn, water


def _turned(look: Look, seed: int) -> Look:
    turn = _TURN if seed >= SEEDS["pretrain"][0] else 0.0
    return look._replace(hues=(look.hues[0] + turn, look.hues[1] + turn))


def _objects(random, height: int, width: int) -> list[_Object]:
    """Four to seven, the small ones in front, at most one of them large: high up, so that its foot is in the picture."""
    scales = random.choice(3, random.integers(4, 8), p=_SHARES)
    scales[np.flatnonzero(scales == 2)[1:]] = 0
    found = []
    for scale in sorted(scales, reverse=True):
        low, high = ((0.25, 0.15), (0.75, 0.5)) if scale == 2 else ((0.1, 0.1), (0.9, 0.85))
        center = random.uniform(low, high) * (width, height)
        found.append(_Object(int(random.integers(1, 9)), random.uniform(*SIZES[scale]), center))
    return found


def _lakes(random, image: np.ndarray, objects: list[_Object]) -> np.ndarray:
    """Paints water round every boat, and one lake without any in a third of the scenes; returns where it is, uint8."""
    water = np.zeros(image.shape[:2], np.uint8)
    spots = [(one.center, one.size) for one in objects if one.kind == BOAT]
    if random.random() < 0.33:
        spots.append((random.uniform(0.1, 0.9, 2) * image.shape[1::-1], random.uniform(20, 60)))
    for center, size in spots:
        axes = size * random.uniform(0.75, 1.0), size * random.uniform(0.6, 0.8)
        cv2.ellipse(water, outlines.point(center), (int(axes[0]), int(axes[1])), 0, 0, 360, 1, -1)
    fill(random, image, water, _WATER, 0)
    return water


def _touches(water: np.ndarray, center: np.ndarray, size: float) -> bool:
    near = cv2.circle(np.zeros_like(water), outlines.point(center), int(size * 0.7), 1, -1)
    return bool((near & water).any())
