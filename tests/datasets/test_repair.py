"""Repaired copies: what was right stays what it was, unknown values become what the user says, and nothing else."""

import itertools
import pathlib
import re
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplab_tf import check_data
from deeplab_tf.datasets import checks, mapping, repair, specs
from deeplab_tf.datasets.masks import read_label, read_mask_values
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.errors import UserError
from deeplab_tf.experiment import flags


def check(root):
    return checks.check_data(specs.get_dataset("folder", root), root, ["train", "val"])


def fix(root, out, *pairs):
    report = check(root)
    return repair.write_repaired(report, root, out, mapping.parse_mapping(report.spec, pairs))


def change(path, change):
    Image.fromarray(change(np.asarray(Image.open(path))).astype(np.uint8)).save(path)


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def masks_of(values, labels):
    """Changes a folder so that its labels.txt is `labels` and its masks hold `values` by turns."""

    def make(root):
        (root / "labels.txt").write_text(labels)
        for path in root.glob("masks/*/*.png"):
            change(path, lambda ids: np.array(values)[np.arange(ids.size).reshape(ids.shape) % len(values)])

    return make


@pytest.mark.parametrize(
    "values, labels, expected",
    [
        ((0, 128, 200), "a\nb\nc\n", {128: 1, 200: 2}),
        ((1, 2, 3, 255), "a\nb\nc\n", {1: 0, 2: 1, 3: 2}),
        ((0, 1, 9, 7), "a\nb\nc\n", {}),
        ((0, 1, 5), "a\nb\nc\n", {5: 2}),  # 0 and 1 are right
        ((0, 2, 9), "a\nb\nc\n", {9: 1}),
        ((0, 1, 2, 9), "a\nb\nc\n", {}),  # as many values as classes and void
        ((0, 128, 255), "0: membrane\n255: cell\n", {}),  # both classes are there
    ],
)
def test_a_proposal_moves_no_known_id_but_where_all_are_one_too_high(folder, values, labels, expected):
    root, _ = folder
    masks_of(values, labels)(root)
    report = check(root)
    assert report.mapping == expected
    (said,) = [finding.text for finding in report.findings if finding.file == str(root)]
    for value in set(values) - set(report.spec.train_id_of):
        pixels = sum(int((read_mask_values(path) == value).sum()) for path in root.glob("masks/*/*.png"))
        assert f"{value} (pixels: {pixels:,}, masks: 9)" in said
    if expected:
        proposed = re.search(r"--mapping=(\S+)", said)[1].split(",")
        assert mapping.parse_mapping(report.spec, proposed) == expected  # what is printed is what may be given


@pytest.mark.parametrize(
    "values, labels", [((0, 1, 5), "a\nb\nc\n"), ((0, 128, 255), "0: a\n255: b\n"), ((1, 2, 3), "a\nb\nc\n")]
)
def test_without_a_mapping_nothing_is_renumbered(folder, tmp_path, values, labels):
    root, spec = folder
    before, masks = contents(root), root.glob("masks/train/p[23].png")
    for path in masks:
        change(path, lambda ids: np.array(values)[np.arange(ids.size).reshape(ids.shape) % len(values)])
    (root / "labels.txt").write_text(labels)
    for path in root.glob("masks/*/p[0145678].png"):
        change(path, lambda ids: ids // 2 % 2 * values[-1 if 255 in values else 1])  # the rest holds two that are known
    spoilt, spec = contents(root), specs.get_dataset("folder", root)
    done = fix(root, tmp_path / "fix")
    assert done.kept == 9 and done.left_out == [] and done.void_masks == 2 and contents(root) == spoilt != before
    copy = contents(tmp_path / "fix")
    assert {path for path in spoilt if copy[path] != spoilt[path]} - {pathlib.Path("labels.txt")} == {
        pathlib.Path("masks/train/p2.png"),
        pathlib.Path("masks/train/p3.png"),
    }  # all else byte for byte
    report, void = check(tmp_path / "fix"), 0
    for name in ("p2", "p3"):
        was, now = (read_mask_values(place / f"masks/train/{name}.png") for place in (root, tmp_path / "fix"))
        known = np.isin(was, list(spec.train_id_of))
        assert np.array_equal(was[known], now[known]) and set(now[~known]) == {report.spec.void_id}
        void += (~known).sum()
    assert done.void_pixels == void == report.frequencies().void > 1000  # the second check counts them
    assert not any("label table" in str(finding) for finding in report.findings)


def test_a_mapping_given_is_applied_at_once_to_all_values(folder, tmp_path):
    root, spec = folder
    before = {path.name: np.array(Image.open(path)) for path in root.glob("masks/*/*.png")}
    for path in root.glob("masks/*/*.png"):
        change(path, lambda ids: np.where(ids == 255, 255, ids + 1))
    done = fix(root, tmp_path / "fix", "1:0", "2:1", "3:2")
    assert str(done) == "9 pictures kept, 0 left out"
    for sample in list_samples(spec, tmp_path / "fix", "train+val"):
        assert np.array_equal(read_label(sample.label, spec), before[f"{sample.id}.png"])
    assert check(tmp_path / "fix").findings == ()


def test_a_repaired_copy_is_clean_and_the_original_untouched(folder, tmp_path):
    root, spec = folder
    image = Image.open(root / "images/train/p0.jpg")
    exif = image.getexif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(root / "images/train/p0.jpg", exif=exif, quality=95)
    Image.open(root / "images/train/p1.jpg").convert("CMYK").save(root / "images/train/p1.jpg", quality=95)
    label = read_label(root / "masks/train/p2.png", spec)
    change(root / "masks/train/p2.png", lambda ids: np.where(ids == 2, 77, ids))
    (root / "images/train/p4.jpg").write_bytes(b"")
    before = contents(root)
    done = fix(root, tmp_path / "fix")
    assert [finding.file for finding in done.left_out] == [str(root / "images/train/p4.jpg")]
    assert (done.void_pixels, done.void_masks) == ((label == 2).sum(), 1) and contents(root) == before
    report = check(tmp_path / "fix")
    assert report.findings == () and len(report.checked["train"]) == 6
    assert np.array_equal(read_label(tmp_path / "fix/masks/train/p2.png", spec), np.where(label == 2, 255, label))
    with pytest.raises(UserError, match="not empty"):
        repair.write_repaired(report, root, tmp_path / "fix")


def interpolated_membranes(root):
    """Membranes (0) and cells (255) one mask made smaller by interpolation; returns that mask."""
    masks_of((0, 255), "0: membrane\n255: cell")(root)
    for path in root.glob("masks/*/*.png"):
        change(path, lambda ids: np.kron(np.random.default_rng(len(ids)).integers(0, 2, (8, 8)) * 255, np.ones((8, 8)))[
            : len(ids), : ids.shape[1]])  # fmt: skip
    large = np.zeros((86, 112), np.uint8)
    large[11:51, 31:81] = 255
    small = cv2.resize(large, (56, 43), interpolation=cv2.INTER_AREA)
    Image.fromarray(small).save(root / "masks/train/p3.png")
    return small


def test_void_is_never_a_class(folder, tmp_path):
    root, _ = folder
    small = interpolated_membranes(root)
    wrong = int(((small > 0) & (small < 255)).sum())
    said = [finding.text for finding in check(root).findings]
    assert wrong > 80 and any("interpolated" in text for text in said)
    assert any("--fix=NEWDIR makes them void, or" in text for text in said)
    done = fix(root, tmp_path / "fix")
    assert str(done) == f"9 pictures kept, 0 left out, {wrong} pixels of 1 masks made void"
    assert (tmp_path / "fix/labels.txt").read_text() == "0: membrane\n255: cell\n254: void\n"
    report = check(tmp_path / "fix")
    assert report.findings == () and report.frequencies().void == wrong
    assert f"({wrong} of all pixels)" in report.frequencies().table()
    values = read_mask_values(tmp_path / "fix/masks/train/p3.png")
    assert np.array_equal(values, np.where((small > 0) & (small < 255), 254, small))


def test_a_copy_without_pictures_is_refused(folder, tmp_path):
    root, _ = folder
    for path in root.glob("images/train/*"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no picture of split 'train' could be kept"):
        fix(root, tmp_path / "fix")
    assert not (tmp_path / "fix").exists()


def test_names_that_restart_in_every_folder_are_all_kept(folder, tmp_path):
    root, spec = folder
    for number, (kind, ending) in itertools.product((1, 2), (("images", ".jpg"), ("masks", ".png"))):
        (root / kind / f"train/seq{number}").mkdir()
        shutil.move(root / kind / f"train/p{number}{ending}", root / kind / f"train/seq{number}/0001{ending}")
    done = fix(root, tmp_path / "fix")
    assert done.kept == 9 and done.left_out == []
    ids = [sample.id for sample in list_samples(spec, tmp_path / "fix", "train")]
    assert {"seq1/0001", "seq2/0001"} < set(ids) and len(ids) == 7
    assert (tmp_path / "fix/masks/train/seq2/0001.png").read_bytes() == (root / "masks/train/seq2/0001.png").read_bytes()


@pytest.mark.parametrize(
    "pair, told",
    [
        ("1-0", "expected VALUE:ID pairs"),
        ("x:0", "expected VALUE:ID pairs"),
        ("1:", "expected VALUE:ID pairs"),
        ("7:9", "no id 9, expected one of 255, 0, 1, 2, void"),
        ("1:0,1:2", "1 stands twice"),
    ],
)
def test_wrong_mappings_are_refused(folder, pair, told):
    with pytest.raises(UserError, match=rf"^--mapping.*{told}"):
        mapping.parse_mapping(folder[1], pair.split(","))


def test_the_door(folder, tmp_path, capsys):
    root, _ = folder
    change(root / "masks/train/p2.png", lambda ids: np.where(ids == 2, 77, ids))
    arguments = ["check_data", "--dataset=folder", f"--data_dir={root}", f"--fix={tmp_path}/fix", "--mapping=77:2"]
    with pytest.raises(SystemExit, match="2"):
        flags.run(check_data.main, check_data.define, arguments)
    printed = capsys.readouterr()
    assert "--fix: 9 pictures kept, 0 left out\n" in printed.err
    assert "--fix=NEWDIR makes them void, or with --mapping=" in printed.out
    flags.run(check_data.main, check_data.define, [*arguments[:2], f"--data_dir={tmp_path}/fix"])  # clean


def test_real_membranes(test_data, tmp_path):
    """Masks made smaller by interpolation: all that is right stays, the rest is void and counted."""
    source, root = test_data / "data" / "membrane", tmp_path / "data"
    (root / "images/train").mkdir(parents=True)
    (root / "masks/train").mkdir(parents=True)
    (root / "labels.txt").write_text("0: membrane\n255: cell\n")
    for number in range(3):
        shutil.copy(source / f"images/{number}.png", root / f"images/train/{number}.png")
        mask = np.array(Image.open(source / f"masks/{number}.png").convert("L"))
        if number == 1:
            mask = cv2.resize(cv2.resize(mask, (256, 256), interpolation=cv2.INTER_AREA), (512, 512))
        Image.fromarray(mask).save(root / f"masks/train/{number}.png")
    spec = specs.get_dataset("folder", root)
    report = checks.check_data(spec, root, ["train"])
    done = repair.write_repaired(report, root, tmp_path / "fix")
    before, after = (read_mask_values(tmp_path / f"{name}/masks/train/1.png") for name in ("data", "fix"))
    right = (before == 0) | (before == 255)
    assert done.kept == 3 and done.void_pixels == (~right).sum() > 10000
    assert np.array_equal(before[right], after[right]) and set(after[~right]) == {254}
    for number in (0, 2):
        assert (root / f"masks/train/{number}.png").read_bytes() == (tmp_path / f"fix/masks/train/{number}.png").read_bytes()
    again = checks.check_data(specs.get_dataset("folder", tmp_path / "fix"), tmp_path / "fix", ["train"])
    assert again.findings == () and again.frequencies().void == done.void_pixels
