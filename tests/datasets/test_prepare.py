import errno
import json
import os
import types

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets import specs
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.prepare import coco, pascal_context, person_part, run_length, runner, voc
from deeplab_tf.datasets.prepare.sources import Task
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.errors import UserError
from tests.doors_forked import run_door


def prepare(*arguments):
    return run_door("prepare_data", *arguments)


def save_pictures(folder, names, size=(12, 10)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size).save(folder / f"{name}.jpg")


@pytest.fixture
def scipy_io():
    return pytest.importorskip("scipy.io", reason="scipy is not installed: no .mat files")


def test_train_aug_is_derived_from_sbd_and_voc(tmp_path, scipy_io):
    names = ["a", "b", "c", "d"]
    save_pictures(tmp_path / "VOCdevkit/VOC2012/JPEGImages", names)
    lists = tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    own = tmp_path / "VOCdevkit/VOC2012/SegmentationClass"
    cls = tmp_path / "benchmark_RELEASE/dataset/cls"
    for folder in (lists, own, cls):
        folder.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("b\n")
    for name, value in (("a", 3), ("b", 4)):
        Image.fromarray(np.full((10, 12), value, np.uint8)).save(own / f"{name}.png")
    for value, name in enumerate(names, start=10):  # SBD knows all four; a and b are VOC's own
        scipy_io.savemat(cls / f"{name}.mat", {"GTcls": {"Segmentation": np.full((10, 12), value, np.uint8)}})
    done = prepare("voc2012", f"--source={tmp_path}", f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "train_aug: 3 pictures (published: 10,582)" in done.stdout
    spec = specs.get_dataset("voc2012")
    samples = list_samples(spec, tmp_path / "out", "train_aug")
    assert [sample.id for sample in samples] == ["a", "c", "d"]
    assert [int(read_label(sample.label, spec)[0, 0]) for sample in samples] == [3, 12, 13]
    # A second run keeps what is there; a damaged .mat is not even opened.
    (cls / "c.mat").write_bytes(b"")
    assert prepare("voc2012", f"--source={tmp_path}", f"--out={tmp_path / 'out'}").returncode == 0
    (tmp_path / "out/masks/c.png").unlink()
    broken = prepare("voc2012", f"--source={tmp_path}", f"--out={tmp_path / 'out'}")
    assert broken.returncode == 2 and "c.mat" in broken.stderr and "Traceback" not in broken.stderr


def test_an_id_without_a_mask_beside_ready_ones_is_named(tmp_path):
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    save_pictures(tmp_path / "JPEGImages", ["a", "b"])
    for name in ("a", "._a"):
        Image.new("L", (12, 10)).save(tmp_path / f"SegmentationClassAug/{name}.png")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("a\n")
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("a\n")
    assert {name: len(tasks) for name, tasks in voc.tasks([tmp_path]).items()} == {"train": 1, "val": 1, "trainval_aug": 1}
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"SegmentationClass/b\.png: the mask of 'b' is missing, nor is one in .*ClassAug"):
        voc.tasks([tmp_path])


def coco_of(root, segmentation):
    """A made COCO val set of one picture of 12 x 10 with one cat."""
    save_pictures(root / "val2017", ["a"])
    (root / "annotations").mkdir(exist_ok=True)
    annotation = {"image_id": 1, "category_id": 17, "iscrowd": 0, "area": 9, "segmentation": segmentation}
    image = {"id": 1, "file_name": "a.jpg", "height": 10, "width": 12}
    text = {"images": [image], "categories": [{"id": 17, "name": "cat"}], "annotations": [annotation]}
    (root / "annotations/instances_val2017.json").write_text(json.dumps(text))
    return root


def test_nothing_made_from_one_source_passes_for_anothers(tmp_path):
    square, wide = [[2, 3, 8, 3, 8, 7, 2, 7]], [[0, 0, 12, 0, 12, 10, 0, 10]]
    a, out = coco_of(tmp_path / "a", square), tmp_path / "out"
    runner.prepare("coco", [a], out, workers=1)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    runner.prepare("coco", [a], out, workers=1)  # a second run changes nothing
    for name, source in (("coco_voc", a), ("coco", coco_of(tmp_path / "b", wide)), ("coco", coco_of(a, wide))):
        told = f" from {a}/.*, which is not what the sources given hold" if name == "coco" else ", got coco_voc"
        with pytest.raises(UserError, match=rf"{out}: holds coco{told}; choose a new folder"):
            runner.prepare(name, [source], out, workers=1)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "made_from.json").unlink()
    with pytest.raises(UserError, match=r"holds data, but no made_from\.json"):
        runner.prepare("coco", [a], out, workers=1)
    (out / "made_from.json").write_text("[")
    with pytest.raises(UserError, match=r"made_from\.json: cannot be read"):
        runner.prepare("coco", [a], out, workers=1)


@pytest.mark.parametrize(
    "segmentation, told",
    [
        ({"counts": [3, 4]}, "got 7 pixels, expected 10 x 12"),
        ({"counts": [130, -10]}, "no run below 0"),
        ({"counts": "0ý"}, "codec can't encode"),
        ({"counts": "PP"}, "ends in the middle of a number"),
        ({"counts": [60, 60], "size": [12, 10]}, r"of \[12, 10\] pixels, expected \[10, 12\]"),
        ({"size": [10, 12]}, "counts"),
        ([[1, 2, 3]], "reshape"),
        (None, "NoneType"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, segmentation, told):
    (task,) = coco.tasks([coco_of(tmp_path, segmentation)], voc_classes=False)["val"]
    with pytest.raises(UserError, match=rf"instances_val2017\.json: the annotation of 'a' cannot be painted \(.*{told}"):
        runner._make_one(task, str(tmp_path / "a.png"), bytes(768))
    assert not (tmp_path / "a.png").exists()


def test_a_worker_that_is_ended_is_told_of(tmp_path):
    task = Task("a", "a.jpg", os._exit, (9,))
    with pytest.raises(UserError, match="ended from outside, .*fewer --workers"):
        runner._make_masks(specs.get_dataset("coco"), [task], tmp_path, workers=2)


def test_sets_read_as_published_are_counted_and_wrong_ones_refused(tmp_path, capsys):
    for name in ("train/a.png", "trainannot/a.png", "val/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (3, 2)).save(tmp_path / name)
    with pytest.raises(UserError, match=r"valannot/b\.png: the mask of 'b' is missing"):
        runner.prepare("camvid", [tmp_path], "")
    Image.new("L", (3, 2)).save((tmp_path / "valannot").mkdir() or tmp_path / "valannot/b.png")
    assert runner.prepare("camvid", [tmp_path], "") == {"train": 1, "val": 1}
    assert "camvid test: not there (" in capsys.readouterr().out


def test_the_published_arithmetic(test_data):
    lists = test_data / "data" / "voc2012_lists"
    read = lambda name: [line.split()[0].split("/")[-1][:-4] for line in (lists / name).read_text().split("\n") if line]  # noqa: E731
    train_aug, val = read("train_aug_10582.txt"), read("val.txt")
    everything = train_aug + val  # what SBD and VOC annotate together
    assert len(val) == 1449 and len(everything) == 12031
    assert voc.augmented_ids(everything, [], val) == sorted(train_aug) and len(train_aug) == 10582


def test_person_parts_are_merged_in_order():
    def thing(kind, *parts):
        made = types.SimpleNamespace(parts=[types.SimpleNamespace(part_name=name, mask=mask) for name, mask in parts])
        setattr(made, "class", kind)
        return made

    left, top = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    left[:, :3], top[:2] = 1, 1
    merged = person_part.merge_parts([thing("dog", ("head", left)), thing("person", ("torso", left), ("lhand", top))])
    expected = np.zeros((4, 6), int)
    expected[:, :3], expected[:2] = 2, 4
    assert np.array_equal(merged, expected)
    assert person_part.merge_parts([thing("dog", ("head", left)), thing("person")]) is None
    assert len(person_part.PART_IDS) == 24 and set(person_part.PART_IDS.values()) == set(range(1, 7))


def test_real_person_part_files(test_data, tmp_path):
    source = test_data / "data" / "pascal_person_part"
    files = sorted((source / "Annotations_Part").glob("*.mat"))
    masks = {path.stem: person_part.read_mask(str(path)) for path in files}
    with_people = {name: mask for name, mask in masks.items() if mask is not None}
    assert len(files) == 18 and len(with_people) == 8
    for name, mask in with_people.items():
        image = read_image(source / "JPEGImages" / f"{name}.jpg")
        assert mask.shape == image.shape[:2] and mask.max() <= 6 and (mask > 0).any()


def test_context_labels_by_name(tmp_path, scipy_io):
    names = [label.name for label in specs.get_dataset("pascal_context").labels[1:]]
    published = {"diningtable": "table", "clothes": "cloth"}
    lines = [f"{400 - i}: {published.get(name, name)}" for i, name in enumerate(names)] + ["5: accordion"]
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    table = pascal_context.class_table(tmp_path / "labels.txt")
    assert table[400] == 1 and table[400 - 58] == 59 and table[5] == 0 and np.count_nonzero(table) == 59
    scipy_io.savemat(tmp_path / "a.mat", {"LabelMap": np.array([[400, 5], [0, 342]], np.uint16)})
    assert pascal_context.read_mask(str(tmp_path / "a.mat"), table).tolist() == [[1, 0], [0, 59]]
    (tmp_path / "labels.txt").write_text("\n".join(lines[1:]))
    with pytest.raises(UserError, match="aeroplane"):
        pascal_context.class_table(tmp_path / "labels.txt")


def test_real_context_masks(test_data):
    spec = specs.get_dataset("pascal_context")
    root = test_data / "data" / "pascal_context"
    for path in (root / "SegmentationClassContext").glob("*.png"):
        label = read_label(path, spec)
        assert np.array_equal(label, np.asarray(Image.open(path)))
        assert label.shape == read_image(root / "JPEGImages" / f"{path.stem}.jpg").shape[:2]


def pack(counts):
    """COCO's packed run lengths, written from its description."""
    text = ""
    for place, count in enumerate(counts):
        value, more = count - counts[place - 2] if place > 2 else count, True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


def test_run_lengths_in_both_forms():
    mask = np.random.default_rng(1).random((23, 9)) < 0.4
    flat = mask.T.ravel()
    starts = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *([0] if flat[0] else []), *starts, flat.size]).tolist()
    assert np.array_equal(run_length.decode_segmentation({"counts": counts}, 23, 9), mask)
    assert np.array_equal(run_length.decode_segmentation({"counts": pack(counts)}, 23, 9), mask)
    with pytest.raises(ValueError, match="run lengths"):
        run_length.from_counts([3, 4], 5, 6)


def test_polygons():
    square = run_length.decode_segmentation([[2, 3, 8, 3, 8, 7, 2, 7]], 10, 12)
    expected = np.zeros((10, 12), bool)
    expected[3:7, 2:8] = True
    assert np.array_equal(square, expected)
    center, angles = np.array([31.3, 20.7]), np.linspace(0, 2 * np.pi, 40, endpoint=False)
    disc = run_length.from_polygon((center + 15 * np.stack([np.cos(angles), np.sin(angles)], 1)).ravel(), 45, 60)
    y, x = np.mgrid[:45, :60] + 0.5
    distance = np.hypot(x - center[0], y - center[1])
    assert disc[distance < 14].all() and not disc[distance > 16].any()


def test_crowds_are_void_and_small_things_lie_on_top():
    big, small = [0, 0, 10, 0, 10, 10, 0, 10], [2, 2, 5, 2, 5, 5, 2, 5]
    crowd = {"counts": [0, 30, 70]}  # the first three columns
    mask = coco.paint(10, 10, [(5, 9.0, [small]), (255, 30.0, crowd), (7, 49.0, [[4, 0, 10, 0, 10, 10, 4, 10]])])
    assert (mask[0, :3] == 255).all() and mask[3, 3] == 5 and mask[3, 2] == 5 and mask[0, 5] == 7 and mask[9, 3] == 0
    assert coco.paint(10, 10, [(7, 100.0, [big])], least=101) is None


def test_real_coco_crowds(test_data, tmp_path):
    source = test_data / "data" / "coco_tiny"
    done = prepare("coco", f"--source={source}", f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    spec = specs.get_dataset("coco")
    samples = {sample.id: sample for sample in list_samples(spec, tmp_path, "val")}
    assert len(samples) == 50
    contents = json.loads((source / "annotations" / "instances_val2017.json").read_text())
    crowds = [annotation for annotation in contents["annotations"] if annotation["iscrowd"]]
    assert len(crowds) == 5
    for annotation in crowds:
        sample = samples[f"{annotation['image_id']:012d}"]
        label = read_label(sample.label, spec)
        inside = run_length.decode_segmentation(annotation["segmentation"], *label.shape)
        others = np.zeros_like(inside)
        for other in contents["annotations"]:
            if other["image_id"] == annotation["image_id"] and not other["iscrowd"]:
                others |= run_length.decode_segmentation(other["segmentation"], *label.shape)
        assert (label[inside & ~others] == 255).all() and (inside & ~others).any()


def test_a_full_disk_leaves_no_half_mask(tmp_path, monkeypatch):
    def half(image, path, **_):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", half)
    task = Task("a", "a.jpg", np.zeros, ((3, 4), np.uint8))
    with pytest.raises(UserError, match=r"a\.png: cannot be written \(No space left on device\); free the disk"):
        runner._make_one(task, str(tmp_path / "a.png"), bytes(768))
    assert list(tmp_path.iterdir()) == []


def test_wrong_calls_of_the_door(tmp_path):
    for arguments in (
        ["nope"],
        [],
        ["coco"],
        ["coco", "--source=/nowhere", f"--out={tmp_path}"],
        ["coco", f"--source={tmp_path}", "--out=x"],
    ):
        done = prepare(*arguments)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
