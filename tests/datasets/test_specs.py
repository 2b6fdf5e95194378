import contextlib
import subprocess
import sys

import pytest

from deeplab_tf.datasets import label_tables, specs
from deeplab_tf.errors import UserError


def test_class_counts_are_the_papers():
    expected = {
        "voc2012": 21,
        "pascal_context": 60,
        "pascal_person_part": 7,
        "cityscapes": 19,
        "coco_voc": 21,
        "coco": 81,
    }
    assert {name: specs.get_dataset(name).num_classes for name in expected} == expected
    assert specs.get_dataset("voc2012").published_size("train_aug") == 10582


@pytest.mark.parametrize("name", [name for name in specs.list_datasets() if name != "folder"])
def test_tables_are_consistent(name):
    spec = specs.get_dataset(name)
    assert [label.train_id for label in spec.classes] == list(range(spec.num_classes))
    assert len(set(spec.class_names)) == spec.num_classes == len(spec.palette)
    ids = [label.id for label in spec.labels if label.id >= 0]
    assert len(ids) == len(set(ids))
    for train_id, color in enumerate(spec.palette):
        assert spec.train_id_of_color[color] == train_id
    assert spec.train_id_of[255] == 255


def test_voc_colors_are_the_published_ones():
    assert [label_tables.voc_color(i) for i in (1, 2, 15, 20, 255)] == [
        (128, 0, 0), (0, 128, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192)]  # fmt: skip
    assert len({label_tables.voc_color(i) for i in range(256)}) == 256


def test_cityscapes_groups():
    categories = {label.category for label in specs.get_dataset("cityscapes").classes}
    assert len(categories) == 7


def test_folder_spec_reads_ids_colors_and_void(tmp_path):
    (tmp_path / "labels.txt").write_text("# masks of the lab\n0: background\n255: traffic light #ff8000\n128: void\n")
    spec = specs.get_dataset("folder", tmp_path)
    assert spec.class_names == ("background", "traffic light")
    assert spec.train_id_of == {0: 0, 255: 1, 128: 255}
    assert spec.train_id_of_color[(255, 128, 0)] == 1


@pytest.mark.parametrize("text", ["", "one\n", "a\na\n", "0: a\n0: b\n", "a\n-1: b\n", "a\nb #12\n", "70000: a\nb\n"])
def test_wrong_label_lists_are_refused_by_name(tmp_path, text):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(UserError, match="labels.txt"):
        specs.get_dataset("folder", tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a #ff0000\nb #00ff00\nc #FF0000\n", r":3: got 'c #FF0000', but its colour #ff0000 is already that of 'a'"),
        ("a #800000\nb\n", r":2: got 'b', but its colour #800000 is already that of 'a'"),
        ("a\nb\nvoid #000000\n", r":3: got 'void #000000', but its colour #000000 is already that of 'a'"),
        ("a #00ff00\nb #ff0000\n9: void #0000ff\n8: ignore #0000ff\n", None),  # both are void
        ("void\na\nb\nignore\n7: c\n", None),
    ],
)
def test_two_classes_of_one_colour_are_refused(tmp_path, text, told):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(UserError, match=told) if told else contextlib.nullcontext():
        specs.get_dataset("folder", tmp_path)


def test_missing_label_lists_say_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").mkdir()
    for folder, told in (
        ("typo", rf"^typo: no such folder in the current folder {tmp_path}, expected the one that holds labels\.txt"),
        (tmp_path / "typo", r"typo: no such folder, expected the one that holds labels\.txt"),
        ("..", r"^\.\./labels\.txt: no such file, expected one class name a line"),
        (tmp_path, r"labels\.txt: cannot be read \(Is a directory\)"),
    ):
        with pytest.raises(UserError, match=told):
            specs.get_dataset("folder", folder)
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "labels.txt").write_bytes("Bär\nKuh\n".encode("latin-1"))
    with pytest.raises(UserError, match="is no text in UTF-8"):
        specs.get_dataset("folder", "latin")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="voc2012"):
        specs.get_dataset("voc2011")


def test_specs_need_only_the_standard_library():
    code = "import sys, deeplab_tf.datasets.specs; print(sorted({'tensorflow','numpy','cv2'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
