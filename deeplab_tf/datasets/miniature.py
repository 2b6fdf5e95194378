"""The miniature data set: scenes rendered at run time, each a pure function of its seed.

Small, but with what makes segmentation hard: objects from a tenth to two thirds of the picture's side, textures, thin parts
(trunks, legs, strings), occlusion, colours that classes and background share in part, and void along the outlines.
"""

from __future__ import annotations

import colorsys
import os
import pathlib

import cv2
import numpy as np

from deeplab_tf.datasets.label_tables import VOID
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing, unwritable

# First seed and number of scenes of each split; the ranges do not meet.
SEEDS = {"train": (0, 600), "val": (1_000_000, 100)}
_MARK = "rendered_scenes.txt"  # makes a folder the scenes' own: only there they may be written again
_COMPARED = 5  # scenes of a split that are rendered again to see whether those on disk are today's
_BALL, _CRATE, _TREE, _BEAST, _KITE = range(1, 6)
# Hue range of each class (turns), saturation range: neighbours overlap.
_COLORS = {
    _BALL: ((-0.06, 0.07), (0.65, 0.95)),
    _CRATE: ((0.04, 0.13), (0.45, 0.8)),
    _TREE: ((0.22, 0.40), (0.35, 0.8)),
    _BEAST: ((0.0, 1.0), (0.0, 0.18)),
    _KITE: ((0.55, 0.85), (0.5, 0.9)),
}


def ensure(data_dir: str | os.PathLike) -> pathlib.Path:
    """Renders both splits into `data_dir` where they are not there yet or look otherwise now (a few seconds).

    Returns:
      The folder.

    Raises:
      UserError: the folder holds anything else, or cannot be written.
    """
    root = pathlib.Path(data_dir)
    try:
        missing = [split for split in SEEDS if not _is_there(root, split)]
        if missing:
            _claim(root)
        for split in missing:
            _write_split(root, split)
    except OSError as error:
        raise unwritable(root, error) from error
    return root


def _claim(root: pathlib.Path) -> None:
    """Marks an empty or new folder as the scenes' own; refuses any other that does not bear the mark."""
    root.mkdir(parents=True, exist_ok=True)
    if (root / _MARK).is_file():
        return
    if any(not entry.name.startswith(".") for entry in root.iterdir()):
        raise UserError(f"{root}: holds other files than the rendered scenes of miniature, expected an empty or new folder; "
                        "give --dataset=folder for your own pictures or another --data_dir.")
    (root / _MARK).write_text("Scenes rendered for the data set miniature; they may be rendered anew at any time.\n")


def _is_there(root: pathlib.Path, split: str) -> bool:
    """Whether the split lies there as it is rendered now; some scenes are compared, so a changed renderer is noticed."""
    first, count = SEEDS[split]
    try:
        lines = (root / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    seeds = range(first, first + count)
    return lines == [_line(split, seed) for seed in seeds] and all(
        (root / path).is_file() and (root / path).read_bytes() == data
        for seed in seeds[:: max(count // _COMPARED, 1)]
        for path, data in zip(_line(split, seed).split("\t"), _encoded(seed), strict=True)
    )


def _line(split: str, seed: int) -> str:
    name = f"{split}/{seed:07d}"
    return f"images/{name}.jpg\tmasks/{name}.png"


def _encoded(seed: int) -> tuple[bytes, bytes]:
    """The files of a scene."""
    image, label = render(seed)
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return jpeg.tobytes(), cv2.imencode(".png", label)[1].tobytes()


def _write_split(root: pathlib.Path, split: str) -> None:
    """Pictures and masks first, the list that makes them count last; several processes may do it at once."""
    first, count = SEEDS[split]
    lines = [_line(split, seed) for seed in range(first, first + count)]
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for seed, line in zip(range(first, first + count), lines, strict=True):
        for path, data in zip(line.split("\t"), _encoded(seed), strict=True):
            with replacing(root / path) as partial:
                partial.write_bytes(data)
    with replacing(root / f"{split}.txt") as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    image = _background(random, height, width)
    instances = np.zeros((height, width), np.uint8)
    classes = [0]
    sizes = random.uniform(22, 130, random.integers(3, 7))
    for size in sorted(sizes, reverse=random.random() < 0.8):  # mostly the small ones in front
        kind = int(random.integers(1, 6))
        center = random.uniform(0.08, 0.92, 2) * (width, height)
        shape = _DRAW[kind](random, np.zeros_like(instances), center, size)
        classes.append(kind)
        instances[shape > 0] = len(classes) - 1
        _paint(random, image, shape, kind, size)
    label = np.array(classes, np.uint8)[instances]
    square = np.ones((3, 3), np.uint8)
    label[cv2.dilate(instances, square) != cv2.erode(instances, square)] = VOID
    noise = random.integers(-9, 10, image.shape, dtype=np.int16)
    image = cv2.GaussianBlur(image, (3, 3), 0.6).astype(np.int16) + noise
    return np.clip(image, 0, 255).astype(np.uint8), label


def _background(random, height: int, width: int) -> np.ndarray:
    """A gradient between two muted colours, clouded, with faded patches in the objects' hues; uint8."""
    hue = random.random()
    low, high = (_rgb(hue + random.uniform(-0.1, 0.1), random.uniform(0.05, 0.3), random.uniform(0.45, 0.8)) for _ in "12")
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    image = np.repeat(low * (1 - ramp) + high * ramp, width, axis=1)
    image += _clouds(random, height, width, 24)[..., None] * 14
    for _ in range(random.integers(0, 4)):
        center, radius = random.uniform(0, 1, 2) * (width, height), random.uniform(8, 40)
        patch = cv2.circle(np.zeros((height, width), np.float32), _point(center), int(radius), 1.0, -1)
        patch = cv2.GaussianBlur(patch, (0, 0), radius / 3)[..., None] * 0.45
        image += (_rgb(random.random(), 0.6, 0.6) - image) * patch
    return np.clip(image, 0, 255).astype(np.uint8)


def _paint(random, image: np.ndarray, shape: np.ndarray, kind: int, size: float) -> None:
    """Fills `shape` in `image` with the class's colour and texture, in place."""
    hues, saturations = _COLORS[kind]
    value = random.uniform(0.4, 0.95)
    if kind == _BEAST:  # nearly black or nearly white: greys are the background's
        value = random.choice([random.uniform(0.08, 0.28), random.uniform(0.88, 1.0)])
    base = _rgb(random.uniform(*hues), random.uniform(*saturations), value)
    x, y, w, h = cv2.boundingRect(shape)
    if not w:
        return
    texture = _TEXTURE[kind](random, h, w, size)
    light = np.linspace(random.uniform(0, 14), random.uniform(-14, 0), h, dtype=np.float32)[:, None]
    inside = shape[y : y + h, x : x + w] > 0
    filled = np.clip(base + (texture * 22 + light)[..., None], 0, 255).astype(np.uint8)
    image[y : y + h, x : x + w][inside] = filled[inside]


def _ball(random, shape, center, size):
    axes = (max(int(size / 2), 4), max(int(size / 2 * random.uniform(0.85, 1)), 4))
    return cv2.ellipse(shape, _point(center), axes, random.uniform(0, 180), 0, 360, 1, -1)


def _crate(random, shape, center, size):
    box = (tuple(map(float, center)), (size, size * random.uniform(0.5, 1)), random.uniform(-30, 30))
    return cv2.fillConvexPoly(shape, np.round(cv2.boxPoints(box)).astype(np.int32), 1)


def _tree(random, shape, center, size):
    cx, cy = center
    trunk = max(int(size * 0.07), 3)
    cv2.line(shape, _point(center), _point((cx + random.uniform(-5, 5), cy + size * 0.75)), 1, trunk)
    for _ in range(7):
        spot = center + random.uniform(-0.3, 0.3, 2) * size
        cv2.circle(shape, _point(spot), max(int(size * random.uniform(0.14, 0.26)), 3), 1, -1)
    return shape


def _beast(random, shape, center, size):
    cx, cy = center
    facing = random.choice([-1, 1])
    length, leg = size * 0.5, max(int(size * 0.05), 3)
    cv2.ellipse(shape, _point(center), (int(length), int(length * 0.45)), 0, 0, 360, 1, -1)
    cv2.circle(shape, _point((cx + facing * length * 1.05, cy - length * 0.4)), max(int(length * 0.32), 3), 1, -1)
    for place in (-0.7, -0.4, 0.4, 0.7):
        foot = (cx + place * length + random.uniform(-4, 4), cy + length * 1.1)
        cv2.line(shape, _point((cx + place * length, cy)), _point(foot), 1, leg)
    tail = (cx - facing * length * 1.5, cy - length * random.uniform(0, 0.8))
    cv2.line(shape, _point((cx - facing * length * 0.8, cy)), _point(tail), 1, max(leg - 1, 2))
    return shape


def _kite(random, shape, center, size):
    cx, cy = center
    half, turn = size / 2, random.uniform(-0.5, 0.5)
    corners = np.array([(0, -1), (0.65, -0.2), (0, 1), (-0.65, -0.2)]) * half
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    corners = corners @ rotation.T + center
    cv2.fillConvexPoly(shape, np.round(corners).astype(np.int32), 1)
    steps = np.linspace(0, 1, 12)
    wave = np.sin(steps * random.uniform(4, 9)) * half * 0.25
    string = np.stack([corners[2, 0] + wave, corners[2, 1] + steps * half * 1.2], 1)
    cv2.polylines(shape, [np.round(string).astype(np.int32)], False, 1, 3)
    return shape


def _stripes(random, height, width, size):
    angle, period = random.uniform(0, np.pi), max(size / random.uniform(3, 6), 5)
    y, x = np.ogrid[:height, :width]
    return np.sign(np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))).astype(np.float32)


def _planks(random, height, width, size):
    period = int(max(size / 5, 5))
    y, x = np.ogrid[:height, :width]
    gaps = (y % period < 2) | ((x + y // period * period) % (3 * period) < 2)
    return 0.4 - 1.8 * gaps.astype(np.float32)


def _leaves(random, height, width, size):
    return _clouds(random, height, width, 3) * 1.1


def _spots(random, height, width, size):
    return np.where(_clouds(random, height, width, max(size / 9, 4)) > 0.7, -1.6, 0.3).astype(np.float32)


def _checks(random, height, width, size):
    period = int(max(size / 4, 5))
    y, x = np.ogrid[:height, :width]
    return ((x // period + y // period) % 2 * 1.6 - 0.8).astype(np.float32)


def _clouds(random, height: int, width: int, grain: float) -> np.ndarray:
    """Smooth noise, standard deviation about 1, float32 [height, width]."""
    coarse = random.standard_normal((int(height / grain) + 2, int(width / grain) + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32) * 255


def _point(xy) -> tuple[int, int]:
    return int(round(float(xy[0]))), int(round(float(xy[1])))


_DRAW = {_BALL: _ball, _CRATE: _crate, _TREE: _tree, _BEAST: _beast, _KITE: _kite}
_TEXTURE = {_BALL: _stripes, _CRATE: _planks, _TREE: _leaves, _BEAST: _spots, _KITE: _checks}
