"""One writer in a folder: the second is refused, a killed one does not count."""

import os
import subprocess
import sys

import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.locks import holding

HOLD = """
import sys, time
from deeplab_tf.locks import holding
with holding(sys.argv[1], "eval"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_in_one_sentence_that_names_the_first(holder, tmp_path):
    with pytest.raises(UserError, match=rf"run: in use \(eval, process {holder.pid} on .*\), expected one"):
        with holding(tmp_path / "run", "train"):
            pytest.fail("two hold the folder")


def test_what_a_killed_process_left_does_not_count(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / ".lock").exists()
    with holding(tmp_path / "run", "train"):
        assert f"train, process {os.getpid()} " in (tmp_path / "run" / ".lock").read_text()


def test_the_folder_is_free_and_clean_afterwards(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), holding(tmp_path, "train"):
            raise KeyError
    assert not list(tmp_path.iterdir())
    with holding(tmp_path / "new", "train"):
        assert (tmp_path / "new").is_dir()
    assert not list(tmp_path.iterdir())


def test_other_folders_are_free(holder, tmp_path):
    with holding(tmp_path / "run" / "eval", "eval"):
        pass


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a folder"), holding(tmp_path / "file", "train"):
        pass
