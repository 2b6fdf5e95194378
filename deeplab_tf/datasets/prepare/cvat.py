"""CVAT's XML "for images" 1.1: polygons, boxes, ellipses and masks in layers."""

from __future__ import annotations

import functools
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np

from deeplab_tf.datasets.prepare import shapes
from deeplab_tf.datasets.prepare.run_length import from_counts
from deeplab_tf.datasets.prepare.shapes import Picture, Shape

_NO_SHAPES = ("tag", "attribute")  # what is said of a whole picture


def read(path: pathlib.Path) -> list[Picture]:
    """All pictures of a file, also those without shapes.

    Raises:
      ValueError: it is no such file; that of a video task holds tracks.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"is no XML ({error})") from None
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        tracks = ", but the tracks of a video" if root.find("track") is not None else ""
        raise ValueError(f'holds no images{tracks}; export the task as "CVAT for images 1.1"')
    classes = tuple(dict.fromkeys(
        [name.text or "" for name in root.findall("meta//labels/label/name")]  # of a task, a job or a project
        + [shape.get("label", "") for image in images for shape in image if shape.tag not in _NO_SHAPES]
    ))  # fmt: skip
    return [
        Picture(
            (image.get("name", ""),),
            (int(image.get("height")), int(image.get("width"))) if image.get("height") and image.get("width") else None,
            functools.partial(_shapes, [(one.tag, dict(one.attrib)) for one in image if one.tag not in _NO_SHAPES]),
            classes,
            image.get("subset", ""),
        )
        for image in images
    ]


def _shapes(drawn: list[tuple[str, dict[str, str]]], height: int, width: int) -> list[Shape]:
    return [_shape(kind, values, height, width) for kind, values in drawn]


def _shape(kind: str, values: dict[str, str], height: int, width: int) -> Shape:
    label, layer, degrees = values["label"], int(values.get("z_order", 0)), float(values.get("rotation", 0))
    if kind == "mask":
        left, top, part_width, part_height = (int(values[name]) for name in ("left", "top", "width", "height"))
        counts = [int(count) for count in values["rle"].split(",")]
        return Shape(label, kind, functools.partial(_mask, counts, left, top, part_height, part_width, height, width), layer)
    if kind == "polygon":
        corners = np.array([corner.split(",") for corner in values["points"].split(";")], np.float64)
    elif kind == "box":
        left, top, right, bottom = (float(values[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        corners = shapes.turned(shapes.box(left, top, right, bottom), degrees, (left + right) / 2, (top + bottom) / 2)
    elif kind == "ellipse":
        x, y, radius_x, radius_y = (float(values[name]) for name in ("cx", "cy", "rx", "ry"))
        corners = shapes.turned(shapes.ellipse(x, y, radius_x, radius_y), degrees, x, y)
    else:
        return Shape(label, kind, None, layer)
    return shapes.polygons(label, kind, [corners], height, width, layer)


def _mask(counts: list[int], left: int, top: int, part_height: int, part_width: int, height: int, width: int) -> np.ndarray:
    """Run lengths of a part of the picture, row by row, beginning with a run of zeros."""
    return shapes.placed(from_counts(counts, part_width, part_height).T, left, top, height, width)
