"""Label Studio's JSON export: brush masks, polygons, rectangles and ellipses, in percent of the picture's sides."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import urllib.parse
from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.prepare import brush, shapes
from deeplab_tf.datasets.prepare.shapes import Picture, Shape

_LABELS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels", "keypointlabels", "labels")
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)


def read(path: pathlib.Path) -> list[Picture]:
    """The pictures of all tasks.

    Raises:
      ValueError: it is no list of tasks.
    """
    tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise ValueError('holds no list of tasks with "data"; export as "JSON", not "JSON-MIN"')
    return [_picture(task) for task in tasks]


def _picture(task: dict) -> Picture:
    results = [result for annotation in task.get("annotations", ()) for result in annotation.get("result", ())]
    size = next(((one["original_height"], one["original_width"]) for one in results if "original_height" in one), None)
    classes = tuple({label: None for result in results for label in _labels(result)})
    return Picture(_names(task), size, functools.partial(_shapes, task.get("annotations", ())), classes)


def _names(task: dict) -> tuple[str, ...]:
    """File names that the address of the picture may mean."""
    paths = [_path(value) for value in task["data"].values() if isinstance(value, str)]
    names = []
    for path in [path for path in paths if _PICTURE.search(path)] or paths[:1]:
        folder, _, last = path.rpartition("/")
        names += [path, f"{folder}/{_UPLOAD.sub('', last)}"]
    return tuple(dict.fromkeys(names)) or ("without a name",)


def _path(address: str) -> str:
    """Of /data/local-files/?d=folder/name.jpg it stands behind the question mark."""
    parts = urllib.parse.urlsplit(address)
    inside = urllib.parse.parse_qs(parts.query).get("d")
    return inside[0] if inside else urllib.parse.unquote(parts.path)


def _shapes(annotations: Sequence[dict], height: int, width: int) -> list[Shape]:
    taken = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    taken = [annotation for annotation in taken if annotation.get("ground_truth")] or taken
    if len(taken) != 1:
        raise ValueError(f"has {len(taken)} annotations, expected one; submit it, or mark one of them as ground truth")
    results = taken[0]["result"]
    named = {result.get("id") for result in results if _labels(result)}
    return [
        _shape(result, height, width) for result in results
        # A region without a label is there again with it; what is no region is said of the whole picture.
        if _labels(result) or (_is_region(result) and result.get("id") not in named)
    ]  # fmt: skip


def _is_region(result: dict) -> bool:
    return not {"rle", "points", "x"}.isdisjoint(result.get("value", {}))


def _labels(result: dict) -> list[str]:
    return result.get("value", {}).get(result.get("type"), []) if result.get("type") in _LABELS else []


def _shape(result: dict, height: int, width: int) -> Shape:
    value, labels = result["value"], _labels(result)
    if len(labels) != 1:
        raise ValueError(f"a region has {len(labels)} classes ({', '.join(labels)}), expected one")
    if result.get("image_rotation"):
        raise ValueError(f"was turned by {result['image_rotation']} degrees in Label Studio; turn it back and export again")
    label, kind, percent = labels[0], result["type"].removesuffix("labels") or "region", np.array([width, height]) / 100
    degrees = value.get("rotation", 0)
    if "rle" in value:
        return Shape(label, "brush", functools.partial(brush.decode, value["rle"], height, width))
    if "points" in value:
        corners = np.asarray(value["points"], np.float64).reshape(-1, 2) * percent
    elif "radiusX" in value:
        x, y = np.array([value["x"], value["y"]]) * percent
        corners = shapes.turned(shapes.ellipse(x, y, *np.array([value["radiusX"], value["radiusY"]]) * percent), degrees, x, y)
    elif "height" in value:
        left, top = np.array([value["x"], value["y"]]) * percent
        across, down = np.array([value["width"], value["height"]]) * percent
        corners = shapes.turned(shapes.box(left, top, left + across, top + down), degrees, left, top)
    else:
        return Shape(label, kind, None)
    return shapes.polygons(label, kind, [corners], height, width)
