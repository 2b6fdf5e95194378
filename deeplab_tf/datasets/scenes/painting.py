"""A scene painted: the ground, objects filled with their class's look, and what a camera and an annotator do to it."""

from __future__ import annotations

import colorsys
import typing
from collections.abc import Callable

import cv2
import numpy as np

from deeplab_tf.datasets.label_tables import VOID
from deeplab_tf.datasets.scenes.outlines import point
from deeplab_tf.datasets.scenes.textures import clouds


class Look(typing.NamedTuple):
    """How a class is filled.

    Attributes:
      texture: of `scenes.textures`.
      hues: range in turns.
      saturations: range in 0..1.
      extreme: nearly black or nearly white, as greys are the background's.
    """

    texture: Callable
    hues: tuple[float, float]
    saturations: tuple[float, float]
    extreme: bool = False


def background(random, height: int, width: int) -> np.ndarray:
    """A gradient between two muted colours, clouded, with faded patches in the objects' hues; uint8."""
    hue = random.random()
    low, high = (rgb(hue + random.uniform(-0.1, 0.1), random.uniform(0.05, 0.3), random.uniform(0.45, 0.8)) for _ in "12")
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    image = np.repeat(low * (1 - ramp) + high * ramp, width, axis=1)
    image += clouds(random, height, width, 24)[..., None] * 14
    for _ in range(random.integers(0, 4)):
        center, radius = random.uniform(0, 1, 2) * (width, height), random.uniform(8, 40)
        patch = cv2.circle(np.zeros((height, width), np.float32), point(center), int(radius), 1.0, -1)
        patch = cv2.GaussianBlur(patch, (0, 0), radius / 3)[..., None] * 0.45
        image += (rgb(random.random(), 0.6, 0.6) - image) * patch
    return np.clip(image, 0, 255).astype(np.uint8)


def fill(random, image: np.ndarray, shape: np.ndarray, look: Look, size: float) -> None:
    """Fills `shape` in `image` with the class's colour and texture, in place."""
    value = random.uniform(0.4, 0.95)
    if look.extreme:
        value = random.choice([random.uniform(0.08, 0.28), random.uniform(0.88, 1.0)])
    base = rgb(random.uniform(*look.hues), random.uniform(*look.saturations), value)
    x, y, w, h = cv2.boundingRect(shape)
    if not w:
        return
    texture = look.texture(random, h, w, size)
    light = np.linspace(random.uniform(0, 14), random.uniform(-14, 0), h, dtype=np.float32)[:, None]
    inside = shape[y : y + h, x : x + w] > 0
    filled = np.clip(base + (texture * 22 + light)[..., None], 0, 255).astype(np.uint8)
    image[y : y + h, x : x + w][inside] = filled[inside]


def photographed(random, image: np.ndarray) -> np.ndarray:
    """The picture with a lens's blur and a sensor's noise; uint8."""
    noise = random.integers(-9, 10, image.shape, dtype=np.int16)
    image = cv2.GaussianBlur(image, (3, 3), 0.6).astype(np.int16) + noise
    return np.clip(image, 0, 255).astype(np.uint8)


def annotated(instances: np.ndarray, classes: list[int]) -> np.ndarray:
    """The mask: the class of every pixel's instance, with a rim of void along every outline.

    Args:
      instances: uint8 [height, width], numbers in `classes`.
      classes: class of every instance.
    """
    label = np.array(classes, np.uint8)[instances]
    square = np.ones((3, 3), np.uint8)
    label[cv2.dilate(instances, square) != cv2.erode(instances, square)] = VOID
    return label


def rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32) * 255
