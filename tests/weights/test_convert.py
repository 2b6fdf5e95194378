"""`python -m deeplab_tf.convert`, run as a user runs it, and the function behind it."""

import os
import subprocess
import sys

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.weights import load_weights
from deeplab_tf.weights.converting import check_target, convert_weights
from deeplab_tf.weights.npz import read_npz
from deeplab_tf.weights.reading import check_source, needs_tensorflow
from tests.full_disk import full_disk
from weights.caffe_writer import Layer, write_caffemodel


def _run(*arguments):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "deeplab_tf.convert", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    return result.returncode, result.stdout, result.stderr


def _resnet50_npz(path, tensors_of, small_model):
    model = small_model("resnet50", seed=1)
    np.savez(path, **tensors_of(model))
    return model


@pytest.fixture
def caffemodel(tmp_path):
    random = np.random.default_rng(0)
    blobs = (random.standard_normal((4, 3, 3, 3)), random.standard_normal(4))
    path = tmp_path / "in.caffemodel"
    write_caffemodel(path, [Layer("conv1_1", "Convolution", blobs), Layer("conv1_1_res05", "Convolution", blobs)])
    return path


def test_the_door_converts_prints_and_keeps_its_hands_off_existing_files(tmp_path, caffemodel):
    target = tmp_path / "out.npz"
    code, out, err = _run(caffemodel, target)
    assert code == 0, err
    assert "conv1_1" in out and "loaded" in out and "conv1_1_res05  skipped" in out and f"wrote {target}" in out
    assert read_npz(target).tensors["conv1_1/kernel"].shape == (3, 3, 3, 4)
    before = target.read_bytes()
    code, _, err = _run(caffemodel, target)
    assert code == 2 and "--overwrite" in err and err.count("\n") == 1
    assert target.read_bytes() == before
    target.write_bytes(b"old")
    assert _run(caffemodel, target, "--overwrite")[0] == 0
    assert len(target.read_bytes()) == len(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.caffemodel", "out.npz"]


def test_the_door_refuses_what_it_cannot_do(tmp_path, caffemodel):
    for arguments, says in (
        ((caffemodel,), "expected two"),
        ((caffemodel, tmp_path / "out.txt"), ".npz or .weights.h5"),
        ((caffemodel, tmp_path / "no" / "out.npz"), "existing folder"),
        ((caffemodel, tmp_path / "out.weights.h5"), "--model"),
        ((caffemodel, tmp_path), "ending in .npz"),
        ((tmp_path / "none.caffemodel", tmp_path / "out.npz"), "no such file"),
        ((caffemodel, tmp_path / "out.npz", "--model=vgg"), "vgg16_largefov"),
        ((caffemodel, tmp_path / "out.npz", "--modle=x"), "modle"),
        ((caffemodel, tmp_path / "out.npz", "--model=vgg16_largefov"), "2 of the 26"),
    ):
        code, _, err = _run(*arguments)
        lines = err.splitlines()
        assert code == 2 and len(lines) == 1 and says in lines[0], (arguments, err)
        assert not (tmp_path / "out.npz").exists()


def test_the_door_lists_records_without_tensorflow():
    code, out, _ = _run("--list")
    assert code == 0
    assert "train2_iter_20000.caffemodel" in out and "test only" in out


def test_targets_and_sources_that_the_system_refuses(tmp_path, caffemodel, monkeypatch):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UserError, match="folder.npz: expected the name of a file, got a folder"):
        check_target(tmp_path / "folder.npz", False, True)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do everything, so it is played
    with pytest.raises(UserError, match=f"{tmp_path} is not writable"):
        check_target(tmp_path / "out.npz", False, False)
    with pytest.raises(UserError, match="in.caffemodel: .*no permission to read it"):
        check_source(caffemodel)


@pytest.mark.parametrize("suffix", [".npz", ".weights.h5"])
def test_a_full_disk_leaves_nothing(tmp_path, small_model, tensors_of, suffix):
    model = small_model("vgg16_largefov", width=0.05)
    np.savez(tmp_path / "in.npz", **tensors_of(model))
    with full_disk(50_000), pytest.raises(UserError, match=f"out{suffix}: cannot be written"):
        convert_weights(tmp_path / "in.npz", tmp_path / f"out{suffix}", model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


@pytest.mark.parametrize("suffix", [".npz", ".weights.h5"])
def test_a_file_goes_through_a_model_and_back(tmp_path, small_model, tensors_of, picture, suffix):
    """ResNet-50 grows on the way; whichever form is written gives the same net again."""
    _resnet50_npz(tmp_path / "in.npz", tensors_of, small_model)
    model, again = small_model("resnet101", seed=2), small_model("resnet101", seed=3)
    report = convert_weights(tmp_path / "in.npz", tmp_path / f"out{suffix}", model=model)
    assert len(report.grown) == 17
    report = load_weights(again, tmp_path / f"out{suffix}")
    assert not report.skipped and not report.reinitialised and not report.notes
    np.testing.assert_array_equal(np.asarray(again(picture)), np.asarray(model(picture)))


def test_tensorflow_is_only_needed_for_its_own_files_and_for_records(tmp_path, caffemodel):
    (tmp_path / "model.index").write_text("")
    needed = {
        source: needs_tensorflow(source)
        for source in (
            caffemodel,
            "a.npz",
            "resnet50_imagenet",
            "deeplab_resnet.ckpt",
            tmp_path / "model",
            tmp_path / "model.index",
        )
    }
    assert list(needed.values()) == [False, False, True, True, True, True]
