"""Files that appear whole or not at all, and the one sentence where the system refuses them."""

import os

import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import check_writable, make_folder, replacing
from tests.full_disk import full_disk


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end_in_place_of_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    for text in ("old", "new"):
        with replacing(path) as partial:
            partial.write_text(text)
            assert not path.exists() if text == "old" else path.read_text() == "old"
        assert path.read_text() == text and names(tmp_path) == ["a.txt"]
    with replacing(str(path)) as partial:
        partial.write_text("by its name")
    assert path.read_text() == "by its name"


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_an_error_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    for name in ("a.txt", "b.txt"):
        with pytest.raises(type(error)), replacing(tmp_path / name) as partial:
            partial.write_text("half")
            raise error
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    message = r"a.txt: cannot be written \(File too large\); free the disk or choose another folder.$"
    with full_disk(), pytest.raises(UserError, match=message), replacing(tmp_path / "a.txt") as partial:
        partial.write_text("new" * 1000)
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_refused_rename_and_a_missing_folder_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="No such file or directory"), replacing(tmp_path / "none" / "a.txt") as partial:
        partial.write_text("new")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(UserError, match="a: cannot be written .Permission denied"), replacing(tmp_path / "a") as partial:
        partial.write_text("new")
    assert not names(tmp_path)


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, first.open("w") as file:
        file.write("first, be")
        file.flush()
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
        file.write("gun before")
    assert path.read_text() == "first, begun before" and names(tmp_path) == ["a.txt"]


def test_what_cannot_be_a_folder_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deep" / "er"):
        for check in (check_writable, make_folder):
            with pytest.raises(UserError, match=f"^{path}: {tmp_path}/file is not a folder"):
                check(path)
    check_writable(tmp_path / "new" / "er")
    assert names(tmp_path) == ["file"]
    make_folder(tmp_path / "new" / "er")
    make_folder(tmp_path / "new" / "er")
    assert (tmp_path / "new" / "er").is_dir()


def test_a_read_only_folder_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to every folder, so one is played
    for check in (check_writable, make_folder):
        with pytest.raises(UserError, match=f"^{tmp_path}/a/b: {tmp_path} is not writable"):
            check(tmp_path / "a" / "b")


def test_a_folder_that_the_system_refuses_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be written .File name too long"):
        make_folder(tmp_path / ("a" * 300))
