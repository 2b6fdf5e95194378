"""What is foreseen of a small training: against slow definitions, and on real pictures."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets import checks, foresight, sample_check, samples, sequences, specs, statistics
from deeplab_tf.datasets.pictures import read_image


@pytest.mark.parametrize("size, crop", [((40, 56), 17), ((40, 56), 45), ((30, 20), 64)])
def test_crop_shares_are_those_of_all_crops(size, crop):
    random = np.random.default_rng(3)
    label = np.where(random.random(size) < 0.1, random.integers(0, 5, size), 255).astype(np.uint8)
    label[:12, :7] = 3
    label[label == 4] = 2
    rows, columns = (min(crop, side) for side in size)
    places = [(y, x) for y in range(size[0] - rows + 1) for x in range(size[1] - columns + 1)]
    expected = [
        np.mean([(label[y : y + rows, x : x + columns] == train_id).sum() >= 64 for y, x in places]) for train_id in range(5)
    ]
    shares = foresight.crop_shares(label, 5, crop)
    assert shares == pytest.approx(expected, abs=1e-12) and 0 < shares[3] <= 1 and shares[4] == 0
    assert foresight.crop_shares(label[::-1, ::-1], 5, crop) == pytest.approx(expected, abs=1e-12)


def test_large_masks_are_counted_on_a_grid():
    label = np.zeros((1000, 1600), np.uint8)
    label[200:400, 800:1000] = 1
    y, x = np.mgrid[:601, :1201]
    expected = np.mean((y + 400 > 200) & (y < 400) & (x + 400 > 800) & (x < 1000))
    assert foresight.crop_shares(label, 2, 400)[1] == pytest.approx(expected, abs=0.02)


def test_rare_and_seldom_classes():
    spec = specs.get_dataset("pascal_person_part")
    histograms = np.zeros((9, 256), np.int64)
    histograms[:, :3] = 100
    histograms[:4, 3], histograms[0, 4], histograms[:5, 6] = 7, 1, 1
    said = foresight.rare_classes(statistics.from_histograms(spec, histograms), 9)
    assert said[0].startswith("no training picture holds upper legs, which") and said[0].endswith("--ignore_classes=5.")
    assert said[1].startswith("few training pictures hold upper arms (4), lower arms (1): ") and len(said) == 2
    (said,) = foresight.rare_classes(statistics.from_histograms(spec, histograms), 9, ignored=(3, 5))
    assert "hold lower arms (1): " in said
    (_, said) = foresight.rare_classes(statistics.from_histograms(spec, histograms[:4]), 4)
    assert "hold lower arms (1): " in said  # all four hold the upper arms
    label = np.zeros((200, 200), np.uint8)
    label[:8, :8] = 1  # one crop holds it all
    label[100:140, 100:140] = 2
    said = foresight.seldom_in_crops(("sky", "kite", "tree", "none"), [label], 65)
    assert len(said) == 1 and said[0].startswith("hardly any crop of 65 pixels will hold kite (0.01%), ")
    assert foresight.seldom_in_crops(("sky", "kite", "tree", "none"), [label], 65, ignored=(1,)) == []


def thumbnails(paths):
    return {path.stem: sequences.thumbnail(read_image(path)) for path in paths}


def test_frames_of_one_drive_are_told_from_a_numbered_collection(test_data):
    data = test_data / "data"
    camvid = [thumbnails(sorted((data / "camvid" / split).iterdir())) for split in ("train", "val")]
    assert len(sequences.same_sequence(*camvid)) == 101  # all of val are of the drive 0016E5
    (said,) = foresight.shared_sequences(*camvid, "train", "val")
    assert said.startswith("val: 101 of 101 pictures are frames of sequences that train holds too")
    report = checks.CheckReport(specs.get_dataset("camvid"), {split: [  # as check_data comes by them
        sample_check.Checked(samples.Sample(name, f"{split}/{name}.jpg", None), [], thumbnail=one)
        for name, one in named.items()] for split, named in zip(("train", "val"), camvid, strict=True)}, (), {})  # fmt: skip
    assert report.notes()[-1] == said and len(report.notes()) == 2  # and no mask holds any class
    other = {name: one for name, one in camvid[0].items() if not name.startswith("0016E5")}
    assert sequences.same_sequence(other, camvid[1]) == []  # a drive of its own
    sections = thumbnails((data / "membrane/images").iterdir())
    parts = [{name: one for name, one in sections.items() if (int(name) < 18) == first} for first in (True, False)]
    assert len(sequences.same_sequence(*parts)) == 6
    for folder in ("VOCdevkit/VOC2012/JPEGImages", "coco_tiny/val2017", "pascal_person_part/JPEGImages"):
        pictures = thumbnails(sorted((data / folder).glob("*.jpg")))
        for seed in range(5):
            held_out = set(np.random.default_rng(seed).permutation(list(pictures))[: len(pictures) // 4])
            parts = [{name: one for name, one in pictures.items() if (name in held_out) == held} for held in (False, True)]
            assert foresight.shared_sequences(*parts, "train", "val") == [], (folder, seed)


def test_names_without_numbers_and_single_pictures_say_nothing():
    one = np.zeros((16, 16), np.int16)
    assert sequences.same_sequence({"a": one, "b": one}, {"c": one}) == [] == sequences.same_sequence({}, {"c1": one})
    assert sequences.near_duplicates({}, {"c": one}) == {} and sequences.near_duplicates({"a": one}, {"c": one}) == {"c": "a"}


def test_all_of_it_on_a_folder(folder):
    root, spec = folder
    Image.open(root / "images/train/p1.jpg").save(root / "images/val/p7.jpg", quality=85)
    Image.open(root / "masks/train/p1.png").save(root / "masks/val/p7.png")
    said = foresight.foresee(spec, root, "train", "val", 33)
    assert len(said) == 1 and said[0].startswith("val: 1 of 2 pictures look the same as one of train (")
    for path in (root / "masks/train").iterdir():
        Image.fromarray(np.where(np.array(Image.open(path)) == 2, 0, np.array(Image.open(path)))).save(path)
    said = foresight.foresee(spec, root, "train", None, 33)
    assert said == [
        "no training picture holds dog, which can only score 0; add pictures, or leave them out with --ignore_classes=2."
    ]


def test_splits_that_are_numbered_apart_share_no_sequence():
    """Then one trained picture is everybody's neighbour, and it may look like all of them: a grey one does."""
    random = np.random.default_rng(0)
    trained = {f"{k:07d}": random.normal(128, 40, (16, 16)).astype(np.int16) for k in range(50)}
    trained["0000049"] = np.full((16, 16), 128, np.int16)
    held_out = {f"{1000000 + k:07d}": random.normal(128, 40, (16, 16)).astype(np.int16) for k in range(30)}
    assert sequences.same_sequence(trained, held_out) == []
