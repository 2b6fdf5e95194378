"""Which files a split means: ids as paths, lists of all kinds, namesakes, what is not there."""

import os
import pathlib
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets import specs
from deeplab_tf.datasets.lists import read_list
from deeplab_tf.datasets.samples import NoSuchSplit, find_samples, list_samples, masks_without_pictures
from deeplab_tf.errors import UserError
from deeplab_tf.experiment import config, run_folder, settings

CAMVID = specs.get_dataset("camvid")


def save(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6), len(name) % 2, np.uint8)).save(root / name)


def folder_of(root, *names):
    """A user's folder with these pictures, each a path below images/, and their masks."""
    root.mkdir(exist_ok=True)
    (root / "labels.txt").write_text("a\nb\n")
    save(root, *(f"images/{name}.jpg" for name in names), *(f"masks/{name}.png" for name in names))
    return specs.get_dataset("folder", root)


def ids(spec, root, split):
    return [sample.id for sample in list_samples(spec, root, split)]


@pytest.mark.parametrize("listed", [False, True])
def test_names_that_restart_in_every_split_are_other_pictures(tmp_path, listed):
    spec = folder_of(tmp_path, *(f"{split}/000{n}" for split in ("train", "val") for n in range(3)))
    if listed:
        for split in ("train", "val"):
            (tmp_path / f"{split}.txt").write_text("".join(f"images/{split}/000{n}.jpg\n" for n in range(3)))
    assert ids(spec, tmp_path, "train") == ids(spec, tmp_path, "val") == ["0000", "0001", "0002"]
    assert ids(spec, tmp_path, "train+val") == [f"{split}/000{n}" for split in ("train", "val") for n in range(3)]
    of_run = config.ExperimentConfig(data=settings.DataConfig(dataset="folder", data_dir=str(tmp_path)))
    assert run_folder.shared_pictures(of_run, "val") == 0 and run_folder.shared_pictures(of_run, "train") == 3
    os.remove(tmp_path / "images/val/0001.jpg")
    os.symlink(tmp_path / "images/train/0002.jpg", tmp_path / "images/val/0001.jpg")  # under another name, the same
    assert run_folder.shared_pictures(of_run, "val") == 1


@pytest.mark.parametrize(
    "lines",
    ["seq1/0001.jpg\nseq2/0001.jpg\n", "seq1/0001\nseq2/0001\n", "images/seq1/0001.jpg\nimages/seq2/0001.jpg\n",
     "images/seq1/0001.jpg masks/seq1/0001.png\nimages/seq2/0001.jpg masks/seq2/0001.png\n",
     "images/seq1/0001.jpg,masks/seq1/0001.png\r\nimages/seq2/0001.jpg ; masks/seq2/0001.png\r\n",
     '"images/seq1/0001.jpg","masks/seq1/0001.png"\n"images/seq2/0001.jpg","masks/seq2/0001.png"\n',
     "/home/x/set/images/seq1/0001.jpg\t/home/x/set/masks/seq1/0001.png\t\n/home/x/set/images/seq2/0001.jpg\t"
     "/home/x/set/masks/seq2/0001.png\n",
     "C:\\set\\images\\seq1\\0001.jpg, C:\\set\\masks\\seq1\\0001.png\nC:\\set\\images\\seq2\\0001.jpg\n"],
)  # fmt: skip
def test_ids_are_paths_whatever_the_list_looks_like(tmp_path, lines):
    spec = folder_of(tmp_path, "seq1/0001", "seq2/0001")
    (tmp_path / "train.txt").write_bytes(lines.encode())
    for sample, name in zip(list_samples(spec, tmp_path, "train"), ("seq1/0001", "seq2/0001"), strict=True):
        assert sample.id == name
        assert [sample.image, sample.label] == [str(tmp_path / f"images/{name}.jpg"), str(tmp_path / f"masks/{name}.png")]


def test_folders_in_a_split_without_a_list(tmp_path):
    spec = folder_of(tmp_path, "train/seq1/0001", "train/seq2/0001", "train/0002")
    os.symlink(tmp_path / "images/train", tmp_path / "images/train/seq1/up")
    assert ids(spec, tmp_path, "train") == ["0002", "seq1/0001", "seq2/0001"]


def test_absolute_paths_outside_have_ids_below_what_they_share(tmp_path):
    spec = folder_of(tmp_path / "data")
    save(tmp_path, "far/a/1.jpg", "far/a/1.png", "far/b/1.jpg", "far/b/1.png")
    pairs = {"both": ["a/1", "b/1"], "one": ["a/1"]}
    for split, names in pairs.items():
        text = "".join(f"{tmp_path}/far/{name}.jpg {tmp_path}/far/{name}.png\n" for name in names)
        (tmp_path / "data" / f"{split}.txt").write_text(text)
    assert ids(spec, tmp_path / "data", "both") == ["a/1", "b/1"] and ids(spec, tmp_path / "data", "one") == ["1"]


def test_a_name_alone_of_a_foreign_path_is_never_taken(tmp_path):
    spec = folder_of(tmp_path, "0001")
    (tmp_path / "train.txt").write_text("/elsewhere/seq2/0001.jpg\n")
    with pytest.raises(UserError, match=r"elsewhere/seq2/0001\.jpg: the picture of .* is missing"):
        list_samples(spec, tmp_path, "train")
    (tmp_path / "train.txt").write_text("seq1/0001.jpg\nseq2/0001.jpg\n")
    save(tmp_path, "seq1/0001.jpg", "seq2/0001.jpg")
    with pytest.raises(UserError, match=r"masks/seq1/0001\.png: the mask of 'seq1/0001' is missing"):
        list_samples(spec, tmp_path, "train")  # masks/0001.png is there, but cannot be of both


@pytest.mark.parametrize(
    ("pictures", "lists", "mask"),
    [
        (["images/seq_train/0000.jpg", "images/seq_val/0000.jpg"], ["seq_train/0000", "seq_val/0000"], "seq_train/0000"),
        (["images/train/0000.jpg", "images/val/0000.jpg"], ["0000", "0000"], "train/0000"),
        (["a/0000.jpg", "b/0000.jpg"], ["a/0000.jpg", "b/0000.jpg"], "a/0000"),
    ],
)
def test_no_mask_serves_the_pictures_of_two_splits(tmp_path, pictures, lists, mask):
    spec = folder_of(tmp_path)
    save(tmp_path, *pictures, "masks/0000.png")
    for split, line in zip(("train", "val"), lists, strict=True):
        (tmp_path / f"{split}.txt").write_text(line)
    with pytest.raises(UserError, match=rf"masks/{mask}\.png: the mask of .* is missing"):
        list_samples(spec, tmp_path, "train")
    os.remove(tmp_path / pictures[1])
    assert list_samples(spec, tmp_path, "train")[0].label == str(tmp_path / "masks/0000.png")  # nothing else may mean it


def test_camvid_as_its_tutorial_unpacks_it(test_data, tmp_path):
    source = test_data / "data" / "camvid"
    names = (source / "val.txt").read_text().split()[:3]
    for name in names:
        for folder, ending in (("val", ".jpg"), ("valannot", ".png")):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(source / folder / f"{name}{ending}", tmp_path / folder)
    expected = find_samples(CAMVID, tmp_path, "val")
    separated = " ", ",", "\t", "  "
    for separator in separated:
        lines = [f"/SegNet/CamVid/val/{name}.jpg{separator}/SegNet/CamVid/valannot/{name}.png\n" for name in names]
        (tmp_path / "val.txt").write_text("".join(lines))
        assert list_samples(CAMVID, tmp_path, "val") == expected and len(expected) == 3
    assert [sample.id for sample in expected] == names


def test_hidden_files_are_no_pictures(tmp_path):
    spec = folder_of(tmp_path, "train/a", "train/b")
    for name in ("images/train/._a.jpg", "masks/train/._a.png", "images/train/.cache/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    assert ids(spec, tmp_path, "train") == ["a", "b"] and masks_without_pictures(spec, tmp_path, "train") == []
    save(tmp_path / "city", "leftImg8bit/val/ulm/u_leftImg8bit.png", "gtFine/val/ulm/u_gtFine_labelIds.png")
    (tmp_path / "city/leftImg8bit/val/ulm/._u_leftImg8bit.png").write_bytes(b"\0\5\26\7")
    assert ids(specs.get_dataset("cityscapes"), tmp_path / "city", "val") == ["u"]


@pytest.mark.parametrize("picture, mask", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_of_either_form_find_each_other(tmp_path, picture, mask):
    spec = folder_of(tmp_path)
    save(tmp_path, f"images/train/{unicodedata.normalize(picture, 'Bär')}.jpg")
    save(tmp_path, f"masks/train/{unicodedata.normalize(mask, 'Bär')}.png")
    (sample,) = list_samples(spec, tmp_path, "train")
    assert sample.id == "Bär" and os.path.isfile(sample.label)
    for form in (picture, mask):
        name = unicodedata.normalize(form, "Bär")
        for line in (f"train/{name}", f"images/train/{name}.jpg masks/train/{name}.png"):
            (tmp_path / "some.txt").write_text(line)
            assert list_samples(spec, tmp_path, "some")[0].image == sample.image
    save(tmp_path, f"images/train/{unicodedata.normalize(mask, 'Bär')}.jpg")
    with pytest.raises(UserError, match="id 'Bär' stands twice"):
        list_samples(spec, tmp_path, "train")


def test_a_split_that_is_not_there_at_all_is_told_from_a_broken_one(tmp_path):
    spec = folder_of(tmp_path / "f", "train/a")
    with pytest.raises(NoSuchSplit):
        find_samples(spec, tmp_path / "f", "val")
    save(tmp_path / "f", "masks/val/b.png")
    with pytest.raises(UserError, match="masks/val: masks without pictures, expected them in .*images/val") as broken:
        find_samples(spec, tmp_path / "f", "val")
    assert not isinstance(broken.value, NoSuchSplit)
    save(tmp_path / "f", "images/val/c.jpg", "masks/val/c.png")
    assert masks_without_pictures(spec, tmp_path / "f", "val") == [str(tmp_path / "f/masks/val/b.png")]
    for name, made, missing in (
        ("camvid", ["train/a.png", "trainannot/a.png"], "val"),
        ("voc2012", ["JPEGImages/a.jpg", "ImageSets/Segmentation/x.png"], "train_aug"),
        ("voc2012", ["JPEGImages/a.jpg", "ImageSets/Segmentation/x.png"], "val"),
        ("cityscapes", ["leftImg8bit/train/u/u_leftImg8bit.png", "gtFine/train/u/u_gtFine_color.png"], "train_coarse"),
        ("cityscapes", ["leftImg8bit/train/u/u_leftImg8bit.png", "gtFine/train/u/u_gtFine_color.png"], "val"),
    ):
        save(tmp_path / name, *made)
        with pytest.raises(NoSuchSplit):
            find_samples(specs.get_dataset(name), tmp_path / name, missing)


def test_records_are_no_pictures(tmp_path):
    (tmp_path / "dataset_info.json").write_text("{}")
    for place in (tmp_path, "gs://bucket/voc"):
        with pytest.raises(UserError, match="holds TFDS records, expected pictures and masks"):
            find_samples(specs.get_dataset("voc2012"), place, "train")


def test_separators(tmp_path):
    (tmp_path / "list.txt").write_text("a b.jpg\nc, d.JPG  e f.png\ng\th,i\n1,2\n", encoding="utf-8")
    assert read_list(pathlib.Path(tmp_path / "list.txt")) == [["a b.jpg"], ["c, d.JPG", "e f.png"], ["g", "h,i"], ["1,2"]]
