"""Label maps as annotation tools import them, and back through `prepare_data`."""

import json

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.prepare.annotations import prepare_annotations
from deeplab_tf.datasets.prepare.run_length import decode_segmentation
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.inference.label_files import LabelFiles
from deeplab_tf.inference.outlines import area, polygons_of
from deeplab_tf.inference.picture_files import find_pictures
from deeplab_tf.inference.predictions import predict_pictures

NAMES = ("background", 'cat & "<dog>"', "tree", "never there")
JOINED = {
    "coco_rle": "coco.json", "coco_polygons": "coco_polygons.json", "cvat": "cvat.xml", "label_studio": "label_studio.json"
}  # fmt: skip
TOOLS = {write: "coco_json" if write.startswith("coco") else write for write in (*JOINED, "labelme")}


def smooth_labels(height, width, seed):
    """A label map of rounded parts, some with holes."""
    y, x = np.mgrid[:height, :width] / 9
    phase = np.random.default_rng(seed).uniform(0, 6, 9)
    fields = [np.sin(x + phase[k]) + np.sin(y + phase[k + 3]) + np.sin((x + y) / 2 + phase[k + 6]) for k in range(3)]
    return np.argmax(fields, axis=0)


@pytest.fixture
def pictures(tmp_path):
    """Folder of pictures, and what is "predicted" on each."""
    predicted = {}
    for seed, (name, size) in enumerate((("a.jpg", (90, 70)), ("sub/b.png", (50, 121)))):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size[1], size[0])).save(path)
        predicted[size] = smooth_labels(*size, seed)
    return tmp_path / "pictures", predicted


def predict(pictures, predicted, out, *write, names=NAMES, **options):
    files = LabelFiles(names, [(k, 2 * k, 9) for k in range(len(names))], write=write)
    named = find_pictures([pictures], recursive=True)
    return predict_pictures(None, named, out, files, label=lambda image: predicted[image.shape[:2]], **options)


def read_back(write, out, pictures, again):
    """Class names by picture size, after the file of all pictures went through `prepare_data`."""
    export = out if write == "labelme" else out / JOINED[write]
    if write == "label_studio":  # an annotator accepts what was predicted
        tasks = json.loads(export.read_text())
        export.write_text(json.dumps([{"data": task["data"], "annotations": task["predictions"]} for task in tasks]))
    outcome = prepare_annotations(TOOLS[write], [export, pictures], again, unlabelled="background", workers=1)
    assert outcome.left_out == ()
    spec = get_dataset("folder", again)
    labels = [read_label(sample.label, spec) for sample in list_samples(spec, again, "all")]
    return {label.shape: np.array(spec.class_names, object)[label] for label in labels}


def near_another_label(labels):
    """Pixels that touch one of another value, or the edge of the picture."""
    padded = np.pad(labels, 1, constant_values=-1)
    height, width = labels.shape
    return np.any([padded[y : y + height, x : x + width] != labels for y in range(3) for x in range(3)], axis=0)


@pytest.mark.parametrize("write", TOOLS)
def test_what_goes_out_comes_in_again(tmp_path, pictures, write):
    folder, predicted = pictures
    predict(folder, predicted, tmp_path / "out", write)
    found = read_back(write, tmp_path / "out", folder, tmp_path / "again")
    assert len(found) == 2
    for size, labels in predicted.items():
        expected = np.array(NAMES, object)[labels]
        changed = found[size] != expected
        if write in ("coco_polygons", "labelme"):  # of fewer corners
            assert not (changed & ~near_another_label(labels)).any() and 0 < changed.mean() < 0.05
        else:
            assert not changed.any()


def test_real_masks_keep_their_outlines(tmp_path, test_data):
    source = test_data / "data" / "VOCdevkit" / "VOC2012"
    names = get_dataset("voc2012").class_names
    ids = (source / "ImageSets" / "Segmentation" / "val.txt").read_text().split()
    predicted, pictures = {}, tmp_path / "pictures"
    pictures.mkdir()
    for name in ids:
        labels = np.asarray(Image.open(source / "SegmentationClass" / f"{name}.png"))
        if labels.shape not in predicted:
            (pictures / f"{name}.jpg").write_bytes((source / "JPEGImages" / f"{name}.jpg").read_bytes())
            predicted[labels.shape] = np.where(labels == 255, 0, labels)
    predict(pictures, predicted, tmp_path / "out", "coco_rle", "coco_polygons", names=names)
    exact = read_back("coco_rle", tmp_path / "out", pictures, tmp_path / "exact")
    near = read_back("coco_polygons", tmp_path / "out", pictures, tmp_path / "near")
    assert len(exact) == len(predicted) > 1
    for size, labels in predicted.items():
        expected = np.array(names, object)[labels]
        assert np.array_equal(exact[size], expected)
        changed = near[size] != expected
        assert not (changed & ~near_another_label(labels)).any() and 0 < changed.mean() < 0.02


def test_outlines():
    random = np.random.default_rng(0)
    for turn in range(60):
        mask = random.random(random.integers(1, 30, 2)) < random.random()
        mask = mask if turn % 3 else np.kron(mask, np.ones((3, 4))) > 0
        exact = polygons_of(mask, tolerance=0)
        np.testing.assert_array_equal(decode_segmentation([polygon.ravel() for polygon in exact], *mask.shape), mask)
        assert sum(map(area, exact)) == pytest.approx(mask.sum())
    ring = np.zeros((20, 30), bool)
    ring[2:18, 3:25] = True
    ring[6:9, 7:19] = ring[12:14, 20:22] = False
    (polygon,) = polygons_of(ring)
    assert len(polygon) == 4 + 2 * (4 + 2) and area(polygon) == ring.sum()  # a corner, its twin and four of every hole
    np.testing.assert_array_equal(decode_segmentation([polygon.ravel()], 20, 30), ring)


def test_the_coco_tools_read_what_is_written(tmp_path, pictures):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    folder, predicted = pictures
    predict(folder, predicted, tmp_path / "out", "coco_rle", "coco_polygons")
    for name in ("coco.json", "coco_polygons.json"):
        opened = coco.COCO(tmp_path / "out" / name)
        assert [image["file_name"] for image in opened.loadImgs(opened.getImgIds())] == ["a.jpg", "sub/b.png"]
        assert [category["name"] for category in opened.loadCats(opened.getCatIds())] == list(NAMES)
        for image in opened.loadImgs(opened.getImgIds()):
            annotations = opened.loadAnns(opened.getAnnIds(image["id"]))
            labels = predicted[image["height"], image["width"]]
            for one in annotations:
                mask = decode_segmentation(one["segmentation"], *labels.shape)
                np.testing.assert_array_equal(opened.annToMask(one), mask)
                left, top, width, height = one["bbox"]
                assert mask[top : top + height, left : left + width].sum() == mask.sum()
                assert one["area"] == pytest.approx(mask.sum(), rel=0.1, abs=12)
            there = set(labels.ravel()) - ({0} if name == "coco_polygons.json" else set())
            assert {one["category_id"] for one in annotations} == there


def test_a_later_run_adds_to_the_file_of_all_pictures(tmp_path, pictures):
    folder, predicted = pictures
    (folder / "sub").rename(tmp_path / "later")
    assert predict(folder, predicted, tmp_path / "out", *JOINED).pictures == 1
    (tmp_path / "later").rename(folder / "sub")
    outcome = predict(folder, predicted, tmp_path / "out", *JOINED)
    assert (outcome.pictures, outcome.skipped) == (1, 1)
    predict(folder, predicted, tmp_path / "at_once", *JOINED)
    for name in JOINED.values():
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()


def test_no_file_stands_for_a_picture_and_for_all(tmp_path, pictures):
    folder, predicted = pictures
    (folder / "a.jpg").rename(folder / "coco.jpg")
    with pytest.raises(UserError, match=r"coco\.json: would be the result of a picture and of all pictures"):
        predict(folder, predicted, tmp_path / "out", "labelme", "coco_rle")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cvat.xml").write_text("mine")
    with pytest.raises(UserError, match=r"cvat\.xml is there already"):
        predict(folder, predicted, tmp_path / "out", "cvat")
    assert (tmp_path / "out" / "cvat.xml").read_text() == "mine"
