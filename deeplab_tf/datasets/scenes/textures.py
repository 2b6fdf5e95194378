"""Textures: float32 [height, width] about 0, to be scaled and added to a colour; most are as coarse as the object is large."""

from __future__ import annotations

import cv2
import numpy as np


def stripes(random, height: int, width: int, size: float) -> np.ndarray:
    angle, period = random.uniform(0, np.pi), max(size / random.uniform(3, 6), 5)
    y, x = np.ogrid[:height, :width]
    return np.sign(np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))).astype(np.float32)


def planks(random, height: int, width: int, size: float) -> np.ndarray:
    period = int(max(size / 5, 5))
    y, x = np.ogrid[:height, :width]
    gaps = (y % period < 2) | ((x + y // period * period) % (3 * period) < 2)
    return 0.4 - 1.8 * gaps.astype(np.float32)


def leaves(random, height: int, width: int, size: float) -> np.ndarray:
    return clouds(random, height, width, 3) * 1.1


def spots(random, height: int, width: int, size: float) -> np.ndarray:
    return np.where(clouds(random, height, width, max(size / 9, 4)) > 0.7, -1.6, 0.3).astype(np.float32)


def checks(random, height: int, width: int, size: float) -> np.ndarray:
    period = int(max(size / 4, 5))
    y, x = np.ogrid[:height, :width]
    return ((x // period + y // period) % 2 * 1.6 - 0.8).astype(np.float32)


def bands(random, height: int, width: int, size: float) -> np.ndarray:
    """Stripes as wide as a quarter of the object: in a large one, a window of a few pixels sees one of them."""
    period = max(size / 2, 6)
    angle, phase = random.uniform(0, np.pi), random.uniform(0, 2 * np.pi)
    y, x = np.ogrid[:height, :width]
    return np.sign(np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period) + phase)).astype(np.float32)


def fields(random, height: int, width: int, size: float) -> np.ndarray:
    """Checks of the same width as `bands`."""
    period = max(size / 2, 6)
    angle, phases = random.uniform(0, np.pi), random.uniform(0, 2 * np.pi, 2)
    y, x = np.ogrid[:height, :width]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    waves = (np.sin(way * (2 * np.pi / period) + phase) for way, phase in zip((along, across), phases, strict=True))
    return np.sign(np.prod(list(waves), axis=0)).astype(np.float32)


def ripples(random, height: int, width: int, size: float) -> np.ndarray:
    """Water: short waves, wherever it is."""
    y = np.arange(height, dtype=np.float32)[:, None]
    return np.sin(y * (2 * np.pi / 7) + clouds(random, height, width, 16) * 1.5).astype(np.float32) * 0.5


def clouds(random, height: int, width: int, grain: float) -> np.ndarray:
    """Smooth noise, standard deviation about 1, float32 [height, width]."""
    coarse = random.standard_normal((int(height / grain) + 2, int(width / grain) + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
