"""One made scene as every tool exports it, in its documented form; written without the code that reads them."""

import base64
import io
import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 41, 60
NAMES = ("background", "cat", "dog", "tree")
ELL = [(20, 4), (33, 4), (33, 9), (27, 9), (27, 30), (20, 30)]  # corners of a polygon, on pixel edges
BOX = (3, 2, 24, 15)  # left, top, right, bottom
PLACE = (30, 12)  # left, top of the tree


def blob():
    return np.random.default_rng(2).random((13, 17)) < 0.6


def masks():
    """(class, bool mask) from below to above: a box of cat, a polygon of dog over it, a ragged mask of tree."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    box = (x >= BOX[0]) & (x < BOX[2]) & (y >= BOX[1]) & (y < BOX[3])
    ell = (x >= 20) & (y >= 4) & (((x < 33) & (y < 9)) | ((x < 27) & (y < 30)))
    tree = np.zeros((HEIGHT, WIDTH), bool)
    tree[PLACE[1] : PLACE[1] + 13, PLACE[0] : PLACE[0] + 17] = blob()
    return [("cat", box), ("dog", ell), ("tree", tree)]


def expected():
    """Names of the classes [height, width], background where nothing is."""
    scene = np.full((HEIGHT, WIDTH), "background", object)
    for name, mask in masks():
        scene[mask] = name
    return scene


def save_picture(path, size=(WIDTH, HEIGHT), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


def labelme(folder, names=("a", "b")):
    stream = io.BytesIO()
    Image.fromarray(blob()).save(stream, "PNG")
    right, bottom = PLACE[0] + 16, PLACE[1] + 12
    shapes = [
        # A rectangle may be drawn from any corner.
        {"label": "cat", "points": [[BOX[2], BOX[1]], [BOX[0], BOX[3]]], "shape_type": "rectangle", "mask": None},
        {"label": "dog", "points": [list(corner) for corner in ELL], "shape_type": "polygon"},
        {"label": "tree", "points": [[*PLACE], [right, bottom]], "shape_type": "mask",
         "mask": base64.b64encode(stream.getvalue()).decode()},
    ]  # fmt: skip
    for name in names:
        save_picture(folder / f"{name}.jpg")
        contents = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
                    "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(contents))


def counts_of(mask):
    """Run lengths of a flat mask, zeros first."""
    counts, value = [0], False
    for one in mask.ravel().tolist():
        if one != value:
            counts.append(0)
            value = one
        counts[-1] += 1
    return counts


def coco_json(folder, names=("a", "b")):
    (_, _), (_, _), (_, tree) = masks()
    left, top, right, bottom = BOX
    drawn = [
        {"category_id": 7, "iscrowd": 0, "segmentation": [[left, top, right, top, right, bottom, left, bottom]]},
        {"category_id": 3, "iscrowd": 0, "segmentation": [[value for corner in ELL for value in corner]]},
        # Tools write iscrowd = 1 for whatever was drawn with a brush.
        {"category_id": 12, "iscrowd": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts_of(tree.T)}},
    ]
    contents = {
        "images": [{"id": 5 + k, "file_name": f"images/{name}.jpg", "height": HEIGHT, "width": WIDTH}
                   for k, name in enumerate(names)],
        "categories": [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}, {"id": 12, "name": "tree"}],
        "annotations": [{"id": 10 * k + j, "image_id": 5 + k, "bbox": [0, 0, 1, 1], "area": 1, **one}
                        for k in range(len(names)) for j, one in enumerate(drawn)],
    }  # fmt: skip
    for name in names:
        save_picture(folder / "images" / f"{name}.jpg")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(contents))


def coco_panoptic(folder, names=("a", "b")):
    ids = {"cat": 70000, "dog": 300, "tree": 9}
    pixels = np.vectorize(lambda name: ids.get(name, 0))(expected())
    segments = [{"id": one, "category_id": k} for k, one in enumerate(ids.values(), start=1)]
    contents = {
        "images": [{"id": k, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH} for k, name in enumerate(names)],
        "categories": [{"id": k, "name": name, "isthing": 1} for k, name in enumerate(ids, start=1)],
        "annotations": [{"image_id": k, "file_name": f"{name}.png", "segments_info": segments} for k, name in enumerate(names)],
    }
    (folder / "panoptic").mkdir(parents=True)
    (folder / "panoptic.json").write_text(json.dumps(contents))
    for name in names:
        save_picture(folder / "pictures" / f"{name}.jpg")
        colors = np.stack([pixels % 256, pixels // 256 % 256, pixels // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(colors).save(folder / "panoptic" / f"{name}.png")


def cvat(folder, names=("a", "b")):
    corners = ";".join(f"{x:.2f},{y:.2f}" for x, y in ELL)
    rle = ", ".join(map(str, counts_of(blob())))
    left, top, right, bottom = BOX
    images = "".join(
        f"""  <image id="{k}" name="images/{name}.jpg" width="{WIDTH}" height="{HEIGHT}">
    <mask label="tree" source="manual" occluded="0" rle="{rle}" left="{PLACE[0]}" top="{PLACE[1]}" width="17" height="13"
          z_order="4"></mask>
    <polygon label="dog" source="manual" occluded="0" points="{corners}" z_order="1"><attribute name="x">1</attribute></polygon>
    <box label="cat" source="manual" occluded="0" xtl="{left}.00" ytl="{top}.00" xbr="{right}.00" ybr="{bottom}.00" z_order="0">
    </box>
    <tag label="indoors" source="manual"></tag>
  </image>
"""
        for k, name in enumerate(names)
    )
    labels = "".join(f"<label><name>{name}</name><color>#c06060</color></label>" for name in ("tree", "dog", "cat"))
    for name in names:
        save_picture(folder / "images" / f"{name}.jpg")
    (folder / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"  <meta><task><name>t</name><labels>{labels}</labels></task></meta>\n{images}</annotations>\n"
    )


def brush_stream(values, sizes=(2, 5, 8, 16)):
    """Label Studio's run lengths as its editor writes them: single values in groups, others repeated."""
    text = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    place = 0
    while place < len(values):
        end = place
        while end < len(values) and values[end] == values[place] and end - place < 2 ** sizes[-1]:
            end += 1
        repeated = end - place > 1
        if not repeated:
            while end < len(values) and end - place < 2 ** sizes[0] and values[end] != values[end - 1]:
                end += 1
        which = next(k for k, size in enumerate(sizes) if end - place <= 2**size)
        words = values[place : place + 1] if repeated else values[place:end]
        text += f"{int(repeated)}{which:02b}{end - place - 1:0{sizes[which]}b}" + "".join(f"{word:08b}" for word in words)
        place = end
    text += "0" * (-len(text) % 8)
    return [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]


def label_studio(folder, names=("a", "b")):
    (_, _), (_, _), (_, tree) = masks()
    soft = np.zeros((HEIGHT, WIDTH, 4), int)
    soft[..., :3] = np.where(tree, 200, 0)[..., None]
    soft[..., 3] = tree * np.random.default_rng(0).integers(1, 256, tree.shape)  # the edge of a brush is not opaque
    stream = brush_stream(soft.ravel().tolist())
    percent_x, percent_y = 100 / WIDTH, 100 / HEIGHT
    shared = {"to_name": "image", "from_name": "label", "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    results = [
        {"id": "r", "type": "rectanglelabels", "value": {
            "x": BOX[0] * percent_x, "y": BOX[1] * percent_y, "width": (BOX[2] - BOX[0]) * percent_x,
            "height": (BOX[3] - BOX[1]) * percent_y, "rotation": 0, "rectanglelabels": ["cat"]}},
        {"id": "p", "type": "polygonlabels", "value": {
            "points": [[x * percent_x, y * percent_y] for x, y in ELL], "closed": True, "polygonlabels": ["dog"]}},
        {"id": "b", "type": "brush", "value": {"format": "rle", "rle": stream}},
        {"id": "b", "type": "labels", "value": {"format": "rle", "rle": stream, "labels": ["tree"]}},
    ]  # fmt: skip
    choice = {"type": "choices", "value": {"choices": ["indoors"]}, "id": "c"}  # said of the whole picture
    results = [*(shared | one for one in results), choice]
    annotation = {"id": 1, "was_cancelled": False, "ground_truth": False, "result": results}
    skipped = {"id": 2, "was_cancelled": True, "result": []}
    tasks = [{"id": k, "data": {"image": f"/data/upload/3/0f1e2d3c-{name}.jpg"}, "annotations": [skipped, annotation],
              "predictions": []} for k, name in enumerate(names)]  # fmt: skip
    for name in names:
        save_picture(folder / f"{name}.jpg")
    (folder / "project-3-at-2024.json").write_text(json.dumps(tasks))


TOOLS = {"labelme": labelme, "coco_json": coco_json, "coco_panoptic": coco_panoptic, "cvat": cvat, "label_studio": label_studio}


def tool_of(name):
    return "coco_json" if name == "coco_panoptic" else name
