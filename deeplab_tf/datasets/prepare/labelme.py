"""LabelMe: a JSON file beside every picture, with polygons, rectangles, circles and masks."""

from __future__ import annotations

import base64
import functools
import io
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from deeplab_tf.datasets.prepare import shapes
from deeplab_tf.datasets.prepare.shapes import Picture, Shape


def read(path: pathlib.Path) -> list[Picture]:
    """The one picture of a file.

    Raises:
      ValueError: it is no LabelMe file.
    """
    contents = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(contents, dict) or not {"shapes", "imagePath"} <= contents.keys():
        raise ValueError('holds no "shapes" and "imagePath", so it is no LabelMe file')
    size = contents.get("imageHeight"), contents.get("imageWidth")
    drawn = contents["shapes"]
    return [Picture(
        # A picture that was renamed together with its file keeps the old name inside.
        names=(contents["imagePath"], *(path.stem + ending for ending in (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"))),
        size=size if all(size) else None,
        shapes=functools.partial(_shapes, drawn),
        classes=tuple({str(shape["label"]): None for shape in drawn}),
    )]  # fmt: skip


def _shapes(drawn: Sequence[dict], height: int, width: int) -> list[Shape]:
    return [_shape(one, str(one["label"]), one.get("shape_type") or "polygon", height, width) for one in drawn]


def _shape(drawn: dict, label: str, kind: str, height: int, width: int) -> Shape:
    points = np.asarray(drawn["points"], np.float64).reshape(-1, 2)
    if kind == "mask":
        return Shape(label, kind, functools.partial(_mask, drawn["mask"], points, height, width))
    if kind == "rectangle" and len(points) == 2:
        points = shapes.box(*points.min(axis=0), *points.max(axis=0))
    elif kind == "circle":
        center, on_the_edge = points
        radius = np.hypot(*(on_the_edge - center))
        points = shapes.ellipse(*center, radius, radius)
    elif kind not in ("polygon", "rectangle", "oriented_rectangle", "rotation"):
        return Shape(label, kind, None)
    return shapes.polygons(label, kind, [points], height, width)


def _mask(png: str, corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask is a PNG of the part between two corner pixels, both included."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        part = np.asarray(picture.convert("L")) > 0
    (left, top), (right, bottom) = np.round(corners).astype(int)
    if part.shape != (bottom - top + 1, right - left + 1):
        raise ValueError(
            f"a mask of {part.shape[1]} x {part.shape[0]} pixels has the corners ({left}, {top}) and ({right}, {bottom})"
        )
    return shapes.placed(part, left, top, height, width)
