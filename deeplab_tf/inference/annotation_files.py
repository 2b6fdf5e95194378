"""Label maps in the forms that annotation tools import: of one picture each, and joined for all pictures of a run.

What is called "background" is left out where a tool would show it as a shape.
"""

from __future__ import annotations

import json
import pathlib
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from deeplab_tf.datasets.prepare import brush
from deeplab_tf.datasets.prepare.class_names import BACKGROUND
from deeplab_tf.datasets.prepare.run_length import to_counts
from deeplab_tf.inference.outlines import area, polygons_of

_LABELME_VERSION = "5.5.0"  # the oldest that reads all of what is written
_LOCAL_FILES = "/data/local-files/?d="  # where Label Studio shows files of its own disk
_CVAT_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels>{}</labels></task></meta>
"""
_CVAT_TAIL = "</annotations>\n"


def regions(labels: np.ndarray, class_names: Sequence[str], background: bool = False) -> Iterator[tuple[int, str, np.ndarray]]:
    """(class id, name, bool mask [height, width]) of every class that is in a label map [height, width]."""
    for train_id in np.unique(labels).tolist():
        if background or class_names[train_id] != BACKGROUND:
            yield train_id, class_names[train_id], labels == train_id


def coco_rle(labels: np.ndarray, class_names: Sequence[str], ids: Sequence[int]) -> bytes:
    """Run lengths of every class, the background too: the whole label map."""
    height, width = labels.shape
    return _coco(labels.shape, [
        _annotation(ids[train_id], name, 1, int(np.count_nonzero(mask)), _bounds(np.argwhere(mask)[:, ::-1], 1),
                    {"size": [height, width], "counts": to_counts(mask)})
        for train_id, name, mask in regions(labels, class_names, background=True)
    ])  # fmt: skip


def coco_polygons(labels: np.ndarray, class_names: Sequence[str], ids: Sequence[int]) -> bytes:
    """A polygon for every connected part of every class."""
    return _coco(labels.shape, [
        _annotation(ids[train_id], name, 0, area(polygon), _bounds(polygon, 0), [polygon.ravel().tolist()])
        for train_id, name, mask in regions(labels, class_names) for polygon in polygons_of(mask)
    ])  # fmt: skip


def labelme(labels: np.ndarray, class_names: Sequence[str], picture: str) -> bytes:
    """LabelMe's file; `picture` is the picture's path as seen from its folder."""
    drawn = [
        {"label": name, "points": polygon.tolist(), "group_id": None, "description": "", "shape_type": "polygon",
         "flags": {}, "mask": None}
        for _, name, mask in regions(labels, class_names) for polygon in polygons_of(mask)
    ]  # fmt: skip
    height, width = labels.shape
    return _json({
        "version": _LABELME_VERSION, "flags": {}, "shapes": drawn, "imagePath": picture, "imageData": None,
        "imageHeight": height, "imageWidth": width,
    })  # fmt: skip


def label_studio(labels: np.ndarray, class_names: Sequence[str], picture: str) -> bytes:
    """A list of one task with a brush mask of every class as its prediction; `picture` is its name with sub-folders.

    The names "label" and "image" are those of the labelling interface in data/README.md.
    """
    height, width = labels.shape
    result = [
        {"id": f"class{train_id}", "type": "brushlabels", "from_name": "label", "to_name": "image", "image_rotation": 0,
         "original_width": width, "original_height": height,
         "value": {"format": "rle", "rle": brush.encode(mask), "brushlabels": [name]}}
        for train_id, name, mask in regions(labels, class_names)
    ]  # fmt: skip
    address = _LOCAL_FILES + urllib.parse.quote(picture)
    return _json([{"data": {"image": address}, "predictions": [{"model_version": "deeplab_tf", "result": result}]}])


def cvat(labels: np.ndarray, class_names: Sequence[str], picture: str) -> bytes:
    """CVAT's XML "for images" of one picture, with a mask of every class."""
    height, width = labels.shape
    masks = "".join(_cvat_mask(name, mask) for _, name, mask in regions(labels, class_names))
    image = f'  <image id="0" name={quoteattr(picture)} width="{width}" height="{height}">\n{masks}  </image>\n'
    return f"{_cvat_head(class_names)}{image}{_CVAT_TAIL}".encode()


def joined_coco(
    class_names: Sequence[str], ids: Sequence[int], pictures: Sequence[tuple[str, int, int]], parts: Iterable[pathlib.Path]
) -> Iterator[str]:
    """COCO JSON of many pictures, piece by piece.

    Args:
      class_names, ids: by class.
      pictures: (name with sub-folders, height, width).
      parts: the files of the single pictures, in the same order.
    """
    categories = [{"id": one, "name": name, "supercategory": ""} for one, name in zip(ids, class_names, strict=True)]
    images = [
        {"id": number, "file_name": name, "height": height, "width": width}
        for number, (name, height, width) in enumerate(pictures, start=1)
    ]
    yield json.dumps({"info": {}, "licenses": [], "categories": categories, "images": images})[:-1] + ', "annotations": [\n'
    count = 0
    for image, part in enumerate(parts, start=1):
        for annotation in json.loads(part.read_text())["annotations"]:
            yield ",\n" * bool(count) + json.dumps({"id": count + 1, "image_id": image} | annotation)
            count += 1
    yield "\n]}\n"


def joined_label_studio(parts: Iterable[pathlib.Path]) -> Iterator[str]:
    """The list of all tasks, piece by piece."""
    yield "[\n"
    for number, part in enumerate(parts):
        yield ",\n" * bool(number) + part.read_text().strip()[1:-1]
    yield "\n]\n"


def joined_cvat(class_names: Sequence[str], parts: Iterable[pathlib.Path]) -> Iterator[str]:
    """CVAT's XML of many pictures, piece by piece."""
    head = _cvat_head(class_names)
    yield head
    for number, part in enumerate(parts):
        image = part.read_text(encoding="utf-8").removeprefix(head).removesuffix(_CVAT_TAIL)
        yield image.replace('id="0"', f'id="{number}"', 1)
    yield _CVAT_TAIL


def _annotation(category_id: int, category: str, iscrowd: int, size: float, bounds: list[float], segmentation) -> dict:
    return {"category_id": category_id, "category": category, "iscrowd": iscrowd, "area": size, "bbox": bounds,
            "segmentation": segmentation}  # fmt: skip


def _coco(size: tuple[int, int], annotations: list[dict]) -> bytes:
    return _json({"height": size[0], "width": size[1], "annotations": annotations})


def _json(contents) -> bytes:
    return (json.dumps(contents) + "\n").encode()


def _bounds(points: np.ndarray, more: int) -> list[int]:
    """Left, top, width and height of points [n, 2] x, y; `more` is 1 where they are pixels, 0 where they are corners."""
    return [*points.min(axis=0).tolist(), *(np.ptp(points, axis=0) + more).tolist()]


def _cvat_head(class_names: Sequence[str]) -> str:
    return _CVAT_HEAD.format("".join(f"<label><name>{escape(name)}</name></label>" for name in class_names))


def _cvat_mask(name: str, mask: np.ndarray) -> str:
    left, top, width, height = _bounds(np.argwhere(mask)[:, ::-1], 1)
    counts = ", ".join(map(str, to_counts(mask[top : top + height, left : left + width].T)))
    return (
        f'    <mask label={quoteattr(name)} source="auto" occluded="0" rle="{counts}" left="{left}" top="{top}" '
        f'width="{width}" height="{height}" z_order="0">\n    </mask>\n'
    )
