"""Rendered scenes on disk: a folder of their own, written on first use and anew where the renderer has changed."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing, unwritable

_MARK = "rendered_scenes.txt"  # makes a folder the scenes' own: only there they may be written again
_COMPARED = 5  # scenes of a split that are rendered again to see whether those on disk are today's

Seeds = Mapping[str, tuple[int, int]]
Render = Callable[[int], tuple[np.ndarray, np.ndarray]]


def ensure(data_dir: str | os.PathLike, name: str, seeds: Seeds, render: Render) -> pathlib.Path:
    """Renders the splits into `data_dir` that are not there yet or look otherwise now (a few seconds).

    Args:
      data_dir: an empty or new folder, or one that scenes were rendered into.
      name: of the data set.
      seeds: split -> first seed and number of scenes.
      render: seed -> picture, uint8 [height, width, 3], and mask, uint8 [height, width].

    Returns:
      The folder.

    Raises:
      UserError: the folder holds anything else, or cannot be written.
    """
    root = pathlib.Path(data_dir)
    try:
        missing = [split for split in seeds if not _is_there(root, split, seeds[split], render)]
        if missing:
            _claim(root, name)
        for split in missing:
            _write_split(root, split, seeds[split], render)
    except OSError as error:
        raise unwritable(root, error) from error
    return root


def _claim(root: pathlib.Path, name: str) -> None:
    """Marks an empty or new folder as the scenes' own; refuses any other that does not bear the mark."""
    root.mkdir(parents=True, exist_ok=True)
    mark = f"Scenes rendered for the data set {name}; they may be rendered anew at any time.\n"
    if (root / _MARK).is_file() and (root / _MARK).read_text() == mark:
        return
    if any(not entry.name.startswith(".") for entry in root.iterdir()):
        raise UserError(
            f"{root}: holds other files than the rendered scenes of {name}, expected an empty or new folder; "
            "give --dataset=folder for your own pictures or another --data_dir."
        )
    (root / _MARK).write_text(mark)


def _is_there(root: pathlib.Path, split: str, seeds: tuple[int, int], render: Render) -> bool:
    """Whether the split lies there as it is rendered now; some scenes are compared, so a changed renderer is noticed."""
    first, count = seeds
    try:
        lines = (root / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    numbers = range(first, first + count)
    return lines == [_line(split, seed) for seed in numbers] and all(
        (root / path).is_file() and (root / path).read_bytes() == data
        for seed in numbers[:: max(count // _COMPARED, 1)]
        for path, data in zip(_line(split, seed).split("\t"), _encoded(seed, render), strict=True)
    )


def _line(split: str, seed: int) -> str:
    name = f"{split}/{seed:07d}"
    return f"images/{name}.jpg\tmasks/{name}.png"


def _encoded(seed: int, render: Render) -> tuple[bytes, bytes]:
    """The files of a scene."""
    image, label = render(seed)
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return jpeg.tobytes(), cv2.imencode(".png", label)[1].tobytes()


def _write_split(root: pathlib.Path, split: str, seeds: tuple[int, int], render: Render) -> None:
    """Pictures and masks first, the list that makes them count last; several processes may do it at once."""
    first, count = seeds
    lines = [_line(split, seed) for seed in range(first, first + count)]
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for seed, line in zip(range(first, first + count), lines, strict=True):
        for path, data in zip(line.split("\t"), _encoded(seed, render), strict=True):
            with replacing(root / path) as partial:
                partial.write_bytes(data)
    with replacing(root / f"{split}.txt") as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
