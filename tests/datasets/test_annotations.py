"""What annotation tools export, as masks and lists."""

import functools
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.prepare import brush, coco, coco_json, cvat, label_studio, labelme, run_length, shapes
from deeplab_tf.datasets.prepare.annotations import _split, prepare_annotations
from deeplab_tf.datasets.prepare.class_names import from_file, from_names
from deeplab_tf.datasets.prepare.painting import drawn_size, paint, write_mask
from deeplab_tf.datasets.prepare.shapes import Picture, Shape
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.inference.picture_files import _UPRIGHT
from tests.datasets import annotation_exports as exports
from tests.doors_forked import run_door


def prepare(tool, source, out, **options):
    return prepare_annotations(tool, [source], out, **{"unlabelled": "background", "workers": 1} | options)


def names_in(out, split="all"):
    """Class names [height, width] of every mask of a split, by picture; void where no class is."""
    spec = get_dataset("folder", out)
    names = np.array([*spec.class_names, *["void"] * (256 - spec.num_classes)])
    return {sample.image: names[read_label(sample.label, spec)] for sample in list_samples(spec, out, split)}


@pytest.mark.parametrize("name", exports.TOOLS)
def test_every_tool_says_the_same(tmp_path, name):
    exports.TOOLS[name](tmp_path / "export")
    outcome = prepare(exports.tool_of(name), tmp_path / "export", tmp_path / "out")
    assert outcome.left_out == () and outcome.counts == {"all": 2}
    by_masks = exports.masks()
    several = sum(mask.astype(int) for _, mask in by_masks) > 1
    assert outcome.overlapping == ((0, 0) if name == "coco_panoptic" else (2, 2 * several.sum())) and several.sum() > 20
    order = {"coco_json": ("dog", "cat", "tree"), "cvat": ("tree", "dog", "cat")}.get(name, ("cat", "dog", "tree"))
    assert outcome.classes == ("background", *order)
    found = names_in(tmp_path / "out")
    assert len(found) == 2
    for mask in found.values():
        np.testing.assert_array_equal(mask, exports.expected())


def test_what_is_unlabelled_may_be_void_and_classes_may_be_named(tmp_path):
    exports.labelme(tmp_path / "export")
    prepare("labelme", tmp_path / "export", tmp_path / "void", unlabelled="void")
    scene = exports.expected()
    scene[scene == "background"] = "void"
    for mask in names_in(tmp_path / "void").values():
        np.testing.assert_array_equal(mask, scene)
    (tmp_path / "labels.txt").write_text("9: dog\n4: background\n7: cat #010203\n")
    outcome = prepare("labelme", tmp_path / "export", tmp_path / "named", labels=tmp_path / "labels.txt")
    assert [reason for _, reason in outcome.left_out] == ["1 shapes left out of class 'tree', which --labels does not hold"] * 2
    for mask in (tmp_path / "named" / "masks").iterdir():
        assert set(np.unique(np.asarray(Image.open(mask)))) == {9, 4, 7}
        assert Image.open(mask).convert("RGB").getpixel((3, 3)) == (1, 2, 3)


def test_blanks_round_a_name_make_no_other_class(tmp_path):
    exports.labelme(tmp_path / "export")
    names = {"cat": [" cat", "c at"], "dog": ["traffic\nlight", " traffic  light "], "tree": ["void ", "\u2028Void"]}
    for place, path in enumerate(sorted((tmp_path / "export").glob("*.json"))):
        contents = json.loads(path.read_text())
        for shape in contents["shapes"]:
            shape["label"] = names[shape["label"]][place]
        contents["shapes"].append({"label": " ", "points": [[0, 0], [9, 0], [0, 9]]})
        path.write_text(json.dumps(contents))
    outcome = prepare("labelme", tmp_path / "export", tmp_path / "out")
    assert outcome.classes == ("background", "c at", "cat", "traffic light")
    assert [reason for _, reason in outcome.left_out] == ["1 shapes left out without a class"] * 2
    for mask, cat in zip(names_in(tmp_path / "out").values(), ("cat", "c at"), strict=True):
        meant = {"background": "background", "cat": cat, "dog": "traffic light", "tree": "void"}
        np.testing.assert_array_equal(mask, np.vectorize(meant.get)(exports.expected()))
    (tmp_path / "labels.txt").write_text("3: background\n5: traffic  light\n7: cat\n")
    assert from_file(tmp_path / "labels.txt", "background").value("traffic light") == 5


def test_overlaps_by_definition():
    random = np.random.default_rng(1)
    drawn = [(value, Shape("", "", functools.partial(np.less, random.random((9, 14)), 0.1 + 0.07 * k), layer))
             for k, (value, layer) in enumerate([(3, 0), (1, 2), (3, 2), (2, 1), (2, 0), (1, 0)])]  # fmt: skip
    for overlaps in ("order", "small_on_top"):
        mask, several = paint(drawn, 9, 14, 77, overlaps)
        for y, x in np.ndindex(9, 14):
            there = [(value, shape.layer if overlaps == "order" else -shape.mask().sum(), k)
                     for k, (value, shape) in enumerate(drawn) if shape.mask()[y, x]]  # fmt: skip
            top = max(there, key=lambda one: one[1:], default=(77,))
            assert mask[y, x] == top[0]
            several -= len({value for value, _, _ in there}) > 1
        assert several == 0


def test_turned_boxes_and_ellipses():
    size = 40, 50
    y, x = np.mgrid[:40, :50]
    box = {"label": "a", "xtl": "10", "ytl": "5", "xbr": "20", "ybr": "9", "rotation": "90"}
    found = cvat._shape("box", box, *size).mask()  # turned about its middle (15, 7)
    np.testing.assert_array_equal(found, (x >= 13) & (x < 17) & (y >= 2) & (y < 12))
    value = {"x": 40, "y": 10, "width": 12, "height": 7.5, "rotation": 90, "rectanglelabels": ["a"]}
    found = label_studio._shape({"type": "rectanglelabels", "value": value}, *size).mask()
    # Clockwise about its upper left corner (20, 4): what was to the right is below.
    np.testing.assert_array_equal(found, (x >= 17) & (x < 20) & (y >= 4) & (y < 10))
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 30, "ellipselabels": ["a"]}
    ellipses = [
        (cvat._shape("ellipse", {"label": "a", "cx": "21", "cy": "17", "rx": "9", "ry": "4"}, *size), 21, 17, 9, 4, 0),
        (label_studio._shape({"type": "ellipselabels", "value": value}, *size), 25, 20, 10, 4, 30),
        (labelme._shape({"points": [[20, 15], [23, 19]]}, "a", "circle", *size), 20, 15, 5, 5, 0),
    ]
    for shape, center_x, center_y, radius_x, radius_y, degrees in ellipses:
        across, down = x + 0.5 - center_x, y + 0.5 - center_y
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        distance = np.hypot((across * cos + down * sin) / radius_x, (down * cos - across * sin) / radius_y)
        clear = abs(distance - 1) > 0.1 / min(radius_x, radius_y)
        np.testing.assert_array_equal(shape.mask()[clear], distance[clear] < 1)
        assert clear.mean() > 0.95 and not clear.all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_lie_on_the_stored_pixels(tmp_path, orientation):
    """Tools show a photograph upright; the pixels of the file, which training reads, may lie on their side."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = exports.save_picture(tmp_path / "a.jpg", exif=exif)
    upright = _UPRIGHT.get(orientation, np.asarray)(np.zeros((exports.HEIGHT, exports.WIDTH))).shape
    assert drawn_size(stored, upright) == drawn_size(stored, None) == (*upright, orientation)
    mask = np.random.default_rng(0).random(upright) < 0.5
    drawn = Picture((), upright, lambda height, width: [Shape("cat", "mask", lambda: mask)], ())
    write_mask(drawn, str(stored), str(tmp_path / "a.png"), from_names(["cat"], "background"), "order", bytes(768))
    written = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(_UPRIGHT.get(orientation, np.asarray)(written), mask)
    with pytest.raises(ValueError, match="has 60 x 41 pixels, but its shapes were drawn on 7 x 9"):
        drawn_size(stored, (9, 7))


def test_brush_masks():
    # The example in the tests of Label Studio's own converter.
    stream = [0, 0, 0, 18, 57, 27, 252, 96, 32, 1, 0, 6, 0, 40, 0, 192, 3, 128, 17, 56, 32]
    assert brush.decode_values(stream).tolist() == [1, 1, 1, 1, 2, 3, 5, 6, 7, 8, *[4] * 8]
    random = np.random.default_rng(0)
    values = np.repeat(random.integers(0, 256, 90), random.integers(1, 70, 90))
    np.testing.assert_array_equal(brush.decode_values(exports.brush_stream(values.tolist())), values)
    for mask in (random.random((31, 20)) < 0.5, np.ones((300, 90), bool), np.zeros((1, 1), bool)):
        np.testing.assert_array_equal(brush.decode(brush.encode(mask), *mask.shape), mask)
    good = brush.encode(np.eye(9) > 0)
    for wrong in (good[:-4], [], [255] * 40, good[:4] + [0] * 40, [-1, *good], ["a"]):
        with pytest.raises(ValueError, match="a brush mask"):
            brush.decode(wrong, 9, 9)


def test_polygons_are_painted_as_the_coco_tools_do():
    oracle = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    random = np.random.default_rng(4)
    for _ in range(30):
        corners = random.uniform(-4, 40, (random.integers(3, 9), 2))
        expected = oracle.decode(oracle.frPyObjects([corners.ravel().tolist()], 33, 37))[..., 0]
        np.testing.assert_array_equal(shapes.polygons("a", "polygon", [corners], 33, 37).mask(), expected)
        counts = run_length.to_counts(expected > 0)
        np.testing.assert_array_equal(oracle.decode(oracle.frPyObjects({"size": [33, 37], "counts": counts}, 33, 37)), expected)


def test_real_coco_pictures_are_painted_as_the_data_set_is(tmp_path, test_data):
    source = test_data / "data" / "coco_tiny"
    contents = json.loads((source / "annotations" / "instances_val2017.json").read_text())
    crowded = {annotation["image_id"] for annotation in contents["annotations"] if annotation["iscrowd"]}  # void there
    images = [image for image in contents["images"] if image["id"] not in crowded][:6]
    (tmp_path / "instances.json").write_text(json.dumps(contents | {"images": images, "annotations": [
        annotation for annotation in contents["annotations"] if annotation["image_id"] in {image["id"] for image in images}
    ]}))  # fmt: skip
    sources = [tmp_path / "instances.json", source / "val2017"]
    outcome = prepare_annotations(
        "coco_json", sources, tmp_path / "out", unlabelled="background", overlaps="small_on_top", workers=1
    )
    assert outcome.left_out == () and outcome.counts == {"val": 6} and outcome.overlapping[0] > 0
    (split,) = [tasks for name, tasks in coco.tasks([source], voc_classes=False).items() if name == "val"]
    known = np.full(256, "no class of COCO")
    known[[label.id for label in get_dataset("coco").labels]] = [label.name for label in get_dataset("coco").labels]
    tasks = {task.id: task for task in split}
    for image, names in names_in(tmp_path / "out", "val").items():
        task = tasks[pathlib.Path(image).stem]
        np.testing.assert_array_equal(names, known[task.make(*task.arguments)])


@pytest.mark.parametrize(
    ("module", "text", "told"),
    [
        (labelme, "{", "Expecting"),
        (labelme, '{"images": []}', "no LabelMe file"),
        (coco_json, "[]", "no COCO file"),
        (coco_json, '{"images": [], "categories": [], "annotations": [{"image_id": 3}]}', "picture 3"),
        (cvat, "<annotations>", "no XML"),
        (cvat, "<annotations><track/></annotations>", "the tracks of a video"),
        (label_studio, '[{"image": "a.jpg", "label": []}]', "JSON-MIN"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, module, text, told):
    (tmp_path / "a").write_text(text)
    with pytest.raises(ValueError, match=told):
        module.read(tmp_path / "a")


def wrong_labelme(folder):
    """One good picture, and what goes wrong in the hands of people."""
    exports.labelme(folder, ["good", "size", "far", "nan", "mask", "lines", "gone", "broken"])

    def change(name, **changes):
        contents = json.loads((folder / f"{name}.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps(contents | changes))

    exports.save_picture(folder / "size.jpg", (30, 30))
    change("far", shapes=[{"label": "cat", "points": [[0, 0], [1e9, 0], [0, 9]]}])
    change("nan", shapes=[{"label": "cat", "points": [[0, 0], [float("nan"), 0], [0, 9]]}])
    change("mask", shapes=[{"label": "cat", "points": [[0, 0], [5, 5]], "shape_type": "mask", "mask": "AAAA"}])
    line = {"label": "cat", "points": [[0, 0], [5, 5]], "shape_type": "line"}
    change("lines", shapes=[line, line | {"shape_type": "point"}, line])
    (folder / "gone.jpg").unlink()
    (folder / "broken.json").write_text('{"shapes": ')
    Image.new("RGB", (exports.WIDTH, exports.HEIGHT)).save(folder / "web.jpg", "WEBP")
    (folder / "web.json").write_text((folder / "good.json").read_text().replace("good.jpg", "web.jpg"))
    (folder / "sub").mkdir()
    (folder / "sub" / "twice.json").write_text((folder / "good.json").read_text())


def test_the_door_tells_of_everything_that_it_leaves_out(tmp_path):
    wrong_labelme(tmp_path / "val")
    flags = [f"--source={tmp_path / 'val'}", f"--out={tmp_path / 'out'}", "--unlabelled=background", "--workers=2"]
    done = run_door("prepare_data", "labelme", *flags)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "val: 2 pictures" in done.stdout and "overlap in 1 pictures" in done.stdout and "--overlaps=order" in done.stdout
    for told in (
        "size.jpg: has 30 x 30 pixels, but its shapes were drawn on 60 x 41",
        "far.jpg: a polygon of 'cat' has corners far outside",
        "nan.jpg: a polygon of 'cat' has corners far outside",
        "mask.jpg: UnidentifiedImageError",
        "lines.jpg: 2 shapes left out of kind line, which cover no area",
        "lines.jpg: 1 shapes left out of kind point",
        "gone.json: picture gone.jpg: there is no such JPEG or PNG file",
        "broken.json: cannot be read",
        "web.jpg: is a WEBP, expected JPEG or PNG",
        "twice.json: picture good.jpg: its mask would be called as that of",
        "error: 10 files, pictures or kinds of shapes were left out",
    ):
        assert done.stderr.count(told) == 1, (told, done.stderr)
    assert sorted(path.stem for path in (tmp_path / "out/masks").iterdir()) == ["good", "lines"]
    assert len((tmp_path / "out/val.txt").read_text().splitlines()) == 2


def test_a_folder_holds_the_last_run_and_what_others_put_there(tmp_path):
    for split in ("train", "val"):
        exports.labelme(tmp_path / "export" / split)
    out = tmp_path / "out"
    prepare("labelme", tmp_path / "export", out)
    (out / "mine.txt").write_text("train/a\n")
    Image.new("L", (3, 3)).save(out / "masks/train/mine.png")
    (tmp_path / "export/train/b.json").write_text('{"shapes": ')
    wrong = json.loads((tmp_path / "export/val/a.json").read_text())
    wrong["shapes"][0] |= {"label": "ant", "points": [[0, 0], [1e9, 0], [0, 9]]}  # a class that shifts the others
    (tmp_path / "export/val/a.json").write_text(json.dumps(wrong))
    (tmp_path / "export/val/b.json").unlink()
    outcome = prepare("labelme", tmp_path / "export", out)
    assert outcome.counts == {"train": 1} and len(outcome.left_out) == 2 and outcome.classes[1] == "ant"
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert found == ["labels.txt", "made_from.json", "masks", "masks/train", "masks/train/a.png", "masks/train/mine.png",
                     "mine.txt", "train.txt"]  # fmt: skip
    np.testing.assert_array_equal(*names_in(out, "train").values(), exports.expected())
    for written, told in (({}, "does not say which files were written"), ({"written": ["../x"]}, "files outside")):
        note = json.loads((out / "made_from.json").read_text())
        note.pop("written", None)
        (out / "made_from.json").write_text(json.dumps(note | written))
        with pytest.raises(UserError, match=told):
            prepare("labelme", tmp_path / "export", out)


def test_wrong_calls(tmp_path):
    exports.label_studio(tmp_path / "export")
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.txt").write_text("cat\ndog\n")
    for options, told in (
        ({"unlabelled": "grey"}, "one of background, void"),
        ({"labels": tmp_path / "no.txt"}, "no class 'background'"),
        ({"tool": "cvat"}, r"no \.xml file there gives an annotated picture"),
        ({"tool": "labelme"}, r"no \.json file there .*project-3-at-2024\.json: .*no LabelMe file"),
        ({"source": tmp_path / "empty"}, "name the folders of the export"),
        ({"source": tmp_path / "nowhere"}, "no such file or folder"),
    ):
        call = {"tool": "label_studio", "source": tmp_path / "export", "out": tmp_path / "out"} | options
        with pytest.raises(UserError, match=told):
            prepare(**call)
        assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=r"name 1 classes \(cat\)"):
        from_names(["cat", "void"], "void")
    (tmp_path / "full.txt").write_text("255: cat\n0: background\n")
    with pytest.raises(UserError, match="gives 255 to a class and names no void"):
        from_file(tmp_path / "full.txt", "void")
    prepare("label_studio", tmp_path / "export", tmp_path / "out")
    prepare("label_studio", tmp_path / "export", tmp_path / "out")  # painted anew: annotations change
    exports.labelme(tmp_path / "other")
    with pytest.raises(UserError, match="holds label_studio, got labelme"):
        prepare("labelme", tmp_path / "other", tmp_path / "out")


def test_label_studio_tasks_that_leave_a_choice(tmp_path):
    exports.label_studio(tmp_path)
    (export,) = tmp_path.glob("*.json")
    (task, other) = json.loads(export.read_text())
    skipped, annotation = task["annotations"]
    nobody, region = {"type": "rectangle", "value": {"x": 1}, "id": "n"}, annotation["result"][0]
    both = region | {"value": region["value"] | {"rectanglelabels": ["cat", "dog"]}}
    for results, told in (
        ([[]] * 2, "has 2 annotations"), ([], "has 0 annotations"), ([[nobody]], "has 0 classes"), ([[both]], "has 2 classes"),
        ([[region | {"image_rotation": 90}]], "turned by 90 degrees"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            label_studio._shapes([skipped, *({"result": result} for result in results)], 41, 60)
    chosen = label_studio._shapes([annotation, annotation | {"ground_truth": True, "result": [region]}], 41, 60)
    assert len(chosen) == 1
    for address, name in (
        ("/data/local-files/?d=sub%20a/x.jpg", "sub a/x.jpg"),
        ("s3://bucket/sub/x.png", "/sub/x.png"),
        ("https://host/x%20y.jpg?token=1", "/x y.jpg"),
    ):
        assert label_studio._names({"data": {"text": "a.b", "image": address}})[0] == name


def test_pictures_are_found_by_as_much_of_their_path_as_agrees(tmp_path):
    for folder in ("one", "two"):
        exports.cvat(tmp_path / folder)
        xml = tmp_path / folder / "annotations.xml"
        xml.write_text(xml.read_text().replace('name="images/', f'name="D:\\work\\{folder}\\images\\'))
        xml.rename(tmp_path / f"{folder}_train.xml")
    outcome = prepare("cvat", tmp_path, tmp_path / "out")
    assert outcome.left_out == () and outcome.counts == {"train": 4}
    assert sorted(sample.id for sample in list_samples(get_dataset("folder", tmp_path / "out"), tmp_path / "out", "train"))
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")) == [
        f"masks/{folder}/images/{name}.png" for folder in ("one", "two") for name in "ab"
    ]
    (tmp_path / "one_train.xml").write_text((tmp_path / "one_train.xml").read_text().replace("\\one\\images", ""))
    left_out = prepare("cvat", tmp_path, tmp_path / "out").left_out
    assert len(left_out) == 2 and all("it may be" in reason for _, reason in left_out)
    sources = [tmp_path / "two_train.xml", tmp_path]
    named = prepare_annotations("cvat", sources, tmp_path / "other", unlabelled="void", workers=1)
    assert named.left_out == () and named.counts == {"train": 2}  # of a file that is named, whatever lies beside it


def coco_of(folder, names, pictures):
    """A COCO file that names its pictures so, each with a shape of a class of its own, and these pictures."""
    for picture in pictures:
        exports.save_picture(folder / picture)
    tall, wide = exports.HEIGHT, exports.WIDTH
    shape = {"bbox": [], "iscrowd": 0, "segmentation": [[0, 0, wide, 0, wide, tall, 0, tall]]}
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances.json").write_text(json.dumps({
        "images": [{"id": k, "file_name": name, "height": tall, "width": wide} for k, name in enumerate(names)],
        "categories": [{"id": k, "name": f"of {name}"} for k, name in enumerate(names)],
        "annotations": [{"id": k, "image_id": k, "category_id": k} | shape for k in range(len(names))],
    }))  # fmt: skip


@pytest.mark.parametrize(
    ("names", "pictures", "taken", "told"),
    [
        (["seq2/1.png", "seq1/1.png"], ["seq1/1.png"], {"seq1/1": "seq1/1.png"}, "seq2/1.png: there is no such"),
        (["seq2/1.png", "seq1/1.png"], ["deep/seq1/1.png"], {"deep/seq1/1": "seq1/1.png"}, "seq2/1.png: there is no such"),
        (["1.png", "seq1/1.png"], ["seq1/1.png"], {"seq1/1": "seq1/1.png"}, "1.png: its mask would be called as that of"),
        (["1.png"], ["1.png", "seq1/1.png"], {"1": "1.png"}, None),
        (["2/1.png", "2/2.png"], ["1/1.png", "2/2.png"], {"2/2": "2/2.png"}, "2/1.png: there is no such"),
        (["/data/alice/imgs/1.png", "/data/alice/imgs/2.png"], ["images/1.png", "images/2.png"],
         {"images/1": "/data/alice/imgs/1.png", "images/2": "/data/alice/imgs/2.png"}, None),
    ],
)  # fmt: skip
def test_no_shapes_go_to_a_namesake(tmp_path, names, pictures, taken, told):
    coco_of(tmp_path / "export", names, pictures)
    outcome = prepare("coco_json", tmp_path / "export", tmp_path / "out")
    assert [told in reason for _, reason in outcome.left_out] == [True] * (told is not None)
    labels = get_dataset("folder", tmp_path / "out").class_names
    masks = {path.relative_to(tmp_path / "out/masks").with_suffix("").as_posix(): labels[np.asarray(Image.open(path))[3, 3]]
             for path in (tmp_path / "out").rglob("*.png")}  # fmt: skip
    assert masks == {name: f"of {meant}" for name, meant in taken.items()}


def test_a_renamed_picture_is_not_sought_under_its_old_name_elsewhere(tmp_path):
    folder = tmp_path / "export"
    exports.labelme(folder, ["new"])
    contents = json.loads((folder / "new.json").read_text())
    (folder / "new.json").write_text(json.dumps(contents | {"imagePath": "old.jpg"}))
    exports.save_picture(folder / "sub/old.jpg")
    prepare("labelme", folder, tmp_path / "out")
    assert list(names_in(tmp_path / "out")) == [str(folder / "new.jpg")]


def test_splits_are_what_the_export_says():
    for said, split in (
        (("", "x/annotations/instances_Train2017.json", "val/a"), "train"),
        (("Validation", "train.json", ""), "val"),
        (("", "export.json", "valid/a"), "val"),
        (("", "training_test.json", ""), "test"),
        (("", "trains/value.json", "b"), "all"),
    ):
        assert _split(*said) == split


def test_a_run_trains_on_an_export(tmp_path):
    from deeplab_tf.experiment.config import ExperimentConfig
    from deeplab_tf.experiment.trainer import train

    exports.label_studio(tmp_path / "train")
    prepare("label_studio", tmp_path / "train", tmp_path / "out")
    settings = {"model": "vgg16_largefov", "width": 0.05, "dataset": "folder", "data_dir": str(tmp_path / "out"), "steps": 20,
                "crop_size": 33, "batch_size": 1, "train_split": "train"}  # fmt: skip
    train(ExperimentConfig.create(**settings), tmp_path / "run")
    steps = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert steps[-1]["step"] == 20 and np.isfinite(steps[-1]["loss"])
