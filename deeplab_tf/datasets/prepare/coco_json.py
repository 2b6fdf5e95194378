"""COCO JSON of any categories: instances (polygons and run lengths), or panoptic segments in a PNG beside it.

Unlike the data set itself (coco.py), `iscrowd` is passed over: tools write it for whatever was drawn as a mask.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from deeplab_tf.datasets.prepare import shapes
from deeplab_tf.datasets.prepare.run_length import decode_segmentation
from deeplab_tf.datasets.prepare.shapes import Picture, Shape

_KEYS = ("images", "annotations", "categories")


def read(path: pathlib.Path) -> list[Picture]:
    """All pictures of a file, also those without annotations.

    Raises:
      ValueError: it is no COCO file.
    """
    contents = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(contents, dict) or not all(isinstance(contents.get(key), list) for key in _KEYS):
        raise ValueError(f"holds no {', '.join(_KEYS)}, so it is no COCO file of instances or segments")
    names = {category["id"]: str(category["name"]) for category in contents["categories"]}
    annotations = defaultdict(list)
    for annotation in contents["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    unknown = annotations.keys() - {image["id"] for image in contents["images"]}
    if unknown:
        raise ValueError(f"annotates picture {min(unknown, key=str)}, which is not among its images")
    return [
        Picture(
            (image["file_name"],),
            (image["height"], image["width"]) if image.get("height") and image.get("width") else None,
            functools.partial(_shapes, path, annotations[image["id"]], names),
            tuple(names.values()),
        )
        for image in contents["images"]
    ]


def _shapes(path: pathlib.Path, annotations: Sequence[dict], names: Mapping[int, str], height: int, width: int) -> list[Shape]:
    found = []
    for annotation in annotations:
        if "segments_info" in annotation:
            found += _segments(_png(path, annotation["file_name"]), annotation["segments_info"], names, height, width)
        else:
            found.append(_instance(annotation, names, height, width))
    return found


def _instance(annotation: dict, names: Mapping[int, str], height: int, width: int) -> Shape:
    label, drawn = _name(annotation, names), annotation.get("segmentation")
    if isinstance(drawn, dict):
        return Shape(label, "mask", functools.partial(decode_segmentation, drawn, height, width))
    return shapes.polygons(label, "polygon" if drawn else "box without outline", drawn or [], height, width)


def _segments(png: pathlib.Path, segments: Sequence[dict], names: Mapping[int, str], height: int, width: int) -> list[Shape]:
    """Segments of a PNG whose pixels hold ids: red + 256 green + 256² blue; 0 is unlabelled."""
    with Image.open(png) as picture:
        ids = np.asarray(picture.convert("RGB")).astype(np.int32) @ np.array([1, 256, 65536], np.int32)
    if ids.shape != (height, width):
        raise ValueError(f"{png} has {ids.shape[1]} x {ids.shape[0]} pixels, its picture {width} x {height}")
    unknown = np.setdiff1d(ids, [0, *(segment["id"] for segment in segments)])
    if unknown.size:
        raise ValueError(f"{png} holds segment {unknown[0]}, which is not in its segments_info")
    return [Shape(_name(one, names), "segment", functools.partial(np.equal, ids, one["id"])) for one in segments]


def _name(annotation: dict, names: Mapping[int, str]) -> str:
    if annotation["category_id"] not in names:
        raise ValueError(f"category {annotation['category_id']} is not among the categories")
    return names[annotation["category_id"]]


def _png(path: pathlib.Path, name: str) -> pathlib.Path:
    """The file of segments: in the folder named as the JSON file, or beside it."""
    places = [path.with_suffix("") / name, path.parent / name, path.parent.parent / path.stem / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ValueError(f"the segments {name} are neither in {places[0].parent} nor in {places[1].parent}")
    return found
