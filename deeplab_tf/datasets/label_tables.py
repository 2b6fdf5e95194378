"""The label tables, one per data set: names, ids as they stand in the mask files, train ids, colours.

Standard library only. Ids of a file that stand in no table are mistakes; 255 is void everywhere unless a table
gives it to a class.
"""

from __future__ import annotations

import dataclasses

VOID = 255


@dataclasses.dataclass(frozen=True)
class Label:
    """One row of a label table.

    Attributes:
      name: what people call it.
      id: the value in mask files, 0..65535 (-1: never in a file).
      train_id: class index 0..K-1 of the network, or 255 (void: not trained, not counted).
      color: RGB, each 0..255, as the data set's own colour masks paint it.
      category: the group the data set puts it in; empty where it has none.
    """

    name: str
    id: int
    train_id: int
    color: tuple[int, int, int]
    category: str = ""


def voc_color(index: int) -> tuple[int, int, int]:
    """Colour `index` (0..255) of the PASCAL VOC colour map, bit by bit as VOCdevkit's VOClabelcolormap does."""
    color = [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            color[channel] |= ((index >> channel) & 1) << shift
        index >>= 3
    return tuple(color)


def numbered(names: str | list[str]) -> tuple[Label, ...]:
    """Labels 0, 1, 2, … in the order of `names` (text: whitespace separated), in VOC colours."""
    names = names.split() if isinstance(names, str) else names
    return tuple(Label(name, i, i, voc_color(i)) for i, name in enumerate(names))


VOC = numbered(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)

# The order of the 59 classes published with PASCAL-Context: the 20 of VOC, then 39 more.
PASCAL_CONTEXT = numbered(
    [label.name for label in VOC]
    + (
        "bag bed bench book building cabinet ceiling clothes computer cup door fence floor flower food grass ground "
        "keyboard light mountain mouse curtain platform sign plate road rock shelves sidewalk sky snow bedclothes "
        "track tree truck wall water window wood"
    ).split()
)

PASCAL_PERSON_PART = numbered(["background", "head", "torso", "upper arms", "lower arms", "upper legs", "lower legs"])

CAMVID = tuple(
    Label(name, i, i if i < 11 else VOID, color)
    for i, (name, color) in enumerate(
        (
            ("sky", (128, 128, 128)),
            ("building", (128, 0, 0)),
            ("pole", (192, 192, 128)),
            ("road", (128, 64, 128)),
            ("pavement", (60, 40, 222)),
            ("tree", (128, 128, 0)),
            ("sign", (192, 128, 128)),
            ("fence", (64, 64, 128)),
            ("car", (64, 0, 128)),
            ("pedestrian", (64, 64, 0)),
            ("bicyclist", (0, 128, 192)),
            ("void", (0, 0, 0)),
        )
    )
)

# name, id, train id, colour, category: the table of the Cityscapes scripts (labels.py).
CITYSCAPES = (
    Label("unlabeled", 0, VOID, (0, 0, 0), "void"),
    Label("ego vehicle", 1, VOID, (0, 0, 0), "void"),
    Label("rectification border", 2, VOID, (0, 0, 0), "void"),
    Label("out of roi", 3, VOID, (0, 0, 0), "void"),
    Label("static", 4, VOID, (0, 0, 0), "void"),
    Label("dynamic", 5, VOID, (111, 74, 0), "void"),
    Label("ground", 6, VOID, (81, 0, 81), "void"),
    Label("road", 7, 0, (128, 64, 128), "flat"),
    Label("sidewalk", 8, 1, (244, 35, 232), "flat"),
    Label("parking", 9, VOID, (250, 170, 160), "flat"),
    Label("rail track", 10, VOID, (230, 150, 140), "flat"),
    Label("building", 11, 2, (70, 70, 70), "construction"),
    Label("wall", 12, 3, (102, 102, 156), "construction"),
    Label("fence", 13, 4, (190, 153, 153), "construction"),
    Label("guard rail", 14, VOID, (180, 165, 180), "construction"),
    Label("bridge", 15, VOID, (150, 100, 100), "construction"),
    Label("tunnel", 16, VOID, (150, 120, 90), "construction"),
    Label("pole", 17, 5, (153, 153, 153), "object"),
    Label("polegroup", 18, VOID, (153, 153, 153), "object"),
    Label("traffic light", 19, 6, (250, 170, 30), "object"),
    Label("traffic sign", 20, 7, (220, 220, 0), "object"),
    Label("vegetation", 21, 8, (107, 142, 35), "nature"),
    Label("terrain", 22, 9, (152, 251, 152), "nature"),
    Label("sky", 23, 10, (70, 130, 180), "sky"),
    Label("person", 24, 11, (220, 20, 60), "human"),
    Label("rider", 25, 12, (255, 0, 0), "human"),
    Label("car", 26, 13, (0, 0, 142), "vehicle"),
    Label("truck", 27, 14, (0, 0, 70), "vehicle"),
    Label("bus", 28, 15, (0, 60, 100), "vehicle"),
    Label("caravan", 29, VOID, (0, 0, 90), "vehicle"),
    Label("trailer", 30, VOID, (0, 0, 110), "vehicle"),
    Label("train", 31, 16, (0, 80, 100), "vehicle"),
    Label("motorcycle", 32, 17, (0, 0, 230), "vehicle"),
    Label("bicycle", 33, 18, (119, 11, 32), "vehicle"),
    Label("license plate", -1, VOID, (0, 0, 142), "vehicle"),
)

# Category ids of MS-COCO (1..90 with gaps): masks hold these, train ids are 0 (background) .. 80.
_COCO_NAMES = (
    "person:1 bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign:13 "
    "parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack:27 umbrella handbag:31 tie "
    "suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket "
    "bottle wine_glass:46 cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut "
    "cake chair couch potted_plant bed dining_table:67 toilet:70 tv:72 laptop mouse remote keyboard cell_phone "
    "microwave oven toaster sink refrigerator book:84 clock vase scissors teddy_bear hair_drier toothbrush"
)


def _coco() -> tuple[Label, ...]:
    labels, category_id = [Label("background", 0, 0, (0, 0, 0))], 0
    for train_id, entry in enumerate(_COCO_NAMES.split(), start=1):
        name, _, start = entry.partition(":")
        category_id = int(start) if start else category_id + 1
        labels.append(Label(name.replace("_", " "), category_id, train_id, voc_color(train_id)))
    return tuple(labels)


COCO = _coco()

# The COCO name of each VOC class, where the two differ.
COCO_NAME_OF_VOC = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}

# Rendered scenes (datasets/miniature.py, miniature_hard.py, miniature_parts.py).
MINIATURE = numbered("background ball crate tree beast kite")
MINIATURE_HARD = numbered("background ball flower crate boat beast bench kite streamer")
MINIATURE_PARTS = numbered("background water ball wood trunk fields bands stem head leg tail string")
