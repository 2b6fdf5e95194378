"""MS-COCO instances to id masks: `coco` keeps COCO's category ids, `coco_voc` the 20 VOC classes; crowds are void."""

from __future__ import annotations

import json
import pathlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.label_tables import COCO, COCO_NAME_OF_VOC, VOC, VOID
from deeplab_tf.datasets.prepare import run_length
from deeplab_tf.datasets.prepare.sources import Task, find
from deeplab_tf.errors import UserError

# coco_voc leaves out training pictures with fewer pixels of VOC classes: the rule DeepLab v3 gives for its COCO
# pictures (its section 4.1); v2 does not say.
MIN_VOC_PIXELS = 1000


def tasks(sources: Sequence[pathlib.Path], voc_classes: bool) -> dict[str, list[Task]]:
    """Splits train and val from annotations/instances_{train,val}*.json."""
    splits = {}
    for split in ("train", "val"):
        path = find(sources, f"annotations/instances_{split}2017.json", f"annotations/instances_{split}*.json")
        if path is not None:
            splits[split] = _split_tasks(path, split, voc_classes)
    if not splits:
        raise UserError("--source: found no annotations/instances_train*.json or instances_val*.json of MS-COCO.")
    return splits


def _split_tasks(path: pathlib.Path, split: str, voc_classes: bool) -> list[Task]:
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        ids = category_ids(contents["categories"], voc_classes)
        shapes = defaultdict(list)
        for annotation in contents["annotations"]:
            if annotation["category_id"] in ids:
                value = VOID if annotation["iscrowd"] else ids[annotation["category_id"]]
                shapes[annotation["image_id"]].append((value, annotation["area"], annotation["segmentation"]))
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as COCO instances ({error!r}); get it again.") from error
    pictures = path.parent.parent / path.stem.removeprefix("instances_")
    least = MIN_VOC_PIXELS if voc_classes and split == "train" else 0
    return [
        Task(
            pathlib.PurePath(image["file_name"]).stem,
            str(pictures / image["file_name"]),
            paint,
            (image["height"], image["width"], shapes[image["id"]], least),
            annotation=str(path),
        )
        for image in contents["images"]
    ]


def category_ids(categories: Sequence[dict], voc_classes: bool) -> dict[int, int]:
    """COCO category id -> id in the mask, for the categories that are painted."""
    if voc_classes:
        by_name = {COCO_NAME_OF_VOC.get(label.name, label.name): label.id for label in VOC[1:]}
    else:
        by_name = {label.name: label.id for label in COCO[1:]}
    return {category["id"]: by_name[category["name"]] for category in categories if category["name"] in by_name}


def paint(height: int, width: int, shapes: Sequence, least: int = 0) -> np.ndarray | None:
    """uint8 [height, width]: crowds first (255), then the others from large to small, so that small ones stay seen.

    Args:
      shapes: (value, area, segmentation) of every instance.
      least: None is returned where fewer pixels than this belong to a class.
    """
    mask = np.zeros((height, width), np.uint8)
    for value, _, segmentation in sorted(shapes, key=lambda shape: (shape[0] != VOID, -shape[1])):
        mask[run_length.decode_segmentation(segmentation, height, width)] = value
    if np.count_nonzero((mask != 0) & (mask != VOID)) < least:
        return None
    return mask
