"""Outlines: each draws into `shape`, uint8 [height, width], at `center` (x, y), about `size` pixels wide, and returns it.

The numbers that it draws tell its parts: 1 the body, others what is thin or stands out.
"""

from __future__ import annotations

import cv2
import numpy as np

BODY, STEM, HEAD, LEG, TAIL, STRING = range(1, 7)


def ball(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    axes = (max(int(size / 2), 4), max(int(size / 2 * random.uniform(0.85, 1)), 4))
    return cv2.ellipse(shape, point(center), axes, random.uniform(0, 180), 0, 360, BODY, -1)


def crate(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    box = (tuple(map(float, center)), (size, size * random.uniform(0.5, 1)), random.uniform(-30, 30))
    return cv2.fillConvexPoly(shape, np.round(cv2.boxPoints(box)).astype(np.int32), BODY)


def tree(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    cx, cy = center
    trunk = max(int(size * 0.07), 3)
    cv2.line(shape, point(center), point((cx + random.uniform(-5, 5), cy + size * 0.75)), STEM, trunk)
    for _ in range(7):
        spot = center + random.uniform(-0.3, 0.3, 2) * size
        cv2.circle(shape, point(spot), max(int(size * random.uniform(0.14, 0.26)), 3), BODY, -1)
    return shape


def beast(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    cx, cy = center
    facing = random.choice([-1, 1])
    length, leg = size * 0.5, max(int(size * 0.05), 3)
    _legs(random, shape, center, length, leg)
    tail = (cx - facing * length * 1.5, cy - length * random.uniform(0, 0.8))
    cv2.line(shape, point((cx - facing * length * 0.8, cy)), point(tail), TAIL, max(leg - 1, 2))
    cv2.ellipse(shape, point(center), (int(length), int(length * 0.45)), 0, 0, 360, BODY, -1)
    head = (cx + facing * length * 1.05, cy - length * 0.4)
    return cv2.circle(shape, point(head), max(int(length * 0.32), 3), HEAD, -1)


def kite(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    cx, cy = center
    half, turn = size / 2, random.uniform(-0.5, 0.5)
    corners = np.array([(0, -1), (0.65, -0.2), (0, 1), (-0.65, -0.2)]) * half
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    corners = corners @ rotation.T + center
    steps = np.linspace(0, 1, 12)
    wave = np.sin(steps * random.uniform(4, 9)) * half * 0.25
    string = np.stack([corners[2, 0] + wave, corners[2, 1] + steps * half * 1.2], 1)
    cv2.polylines(shape, [np.round(string).astype(np.int32)], False, STRING, 3)
    return cv2.fillConvexPoly(shape, np.round(corners).astype(np.int32), BODY)


def flower(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    """A ball on a stem with a leaf: only these, a ball's width away from its middle, tell it from a ball."""
    cx, cy = center
    foot, stem = (cx + random.uniform(-0.2, 0.2) * size, cy + size * random.uniform(0.95, 1.15)), max(int(size * 0.06), 2)
    cv2.line(shape, point(center), point(foot), STEM, stem)
    leaf = ((cx + foot[0]) / 2 + random.choice([-1, 1]) * size * 0.14, cy + size * 0.78)
    cv2.ellipse(shape, point(leaf), (max(int(size * 0.15), 3), max(int(size * 0.06), 2)), 0, 0, 360, STEM, -1)
    return ball(random, shape, center, size)


def bench(random, shape: np.ndarray, center, size: float) -> np.ndarray:
    """A beast's trunk on legs, without its head and tail."""
    length = size * 0.5
    _legs(random, shape, center, length, max(int(size * 0.05), 3))
    return cv2.ellipse(shape, point(center), (int(length), int(length * 0.45)), 0, 0, 360, BODY, -1)


def _legs(random, shape: np.ndarray, center, length: float, thickness: int) -> None:
    cx, cy = center
    for place in (-0.7, -0.4, 0.4, 0.7):
        foot = (cx + place * length + random.uniform(-4, 4), cy + length * 1.1)
        cv2.line(shape, point((cx + place * length, cy)), point(foot), LEG, thickness)


def point(xy) -> tuple[int, int]:
    return int(round(float(xy[0]))), int(round(float(xy[1])))
