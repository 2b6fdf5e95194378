"""The run as a user starts it: resume, log, signals, refusals."""

import json
import os
import signal
import time

import numpy as np
import pytest

from tests.training.trainer import NARROW, finish, start

FLAGS = [
    *NARROW,
    "--batch_size=2",
    "--save_every=3",
    "--log_every=1",
    "--steps=8",
    "--base_learning_rate=0.01",
    "--augment_scales=0.75,1",
]


def weights(workdir):
    newest = max((workdir / "checkpoints").glob("step-*.npz"))
    with np.load(newest) as file:
        return newest.name, {name: file[name] for name in file.files}


def lines(workdir):
    return [json.loads(line) for line in (workdir / "train.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("whole")
    out, _ = finish(start(workdir, data_dir, FLAGS))
    assert out.startswith("trained vgg16_largefov for 8 steps, loss ")
    return workdir


def test_a_run_leaves_its_description_and_log(uninterrupted):
    assert {path.name for path in uninterrupted.iterdir()} == {
        "config.json",
        "dataset.json",
        "flags.txt",
        "checkpoints",
        "train.jsonl",
        "tensorboard",
        "curves.png",
    }
    log = lines(uninterrupted)
    assert [line["step"] for line in log] == list(range(1, 9))
    assert all(0 <= line["input_wait"] < 1 for line in log)
    assert log[0]["learning_rate"] == pytest.approx(0.01) and all(np.isfinite(line["loss"]) for line in log)


def test_killed_and_resumed_equals_uninterrupted(tmp_path, uninterrupted, data_dir):
    """kill -9 after some checkpoint: the finished run has the same bits and the same losses."""
    process = start(tmp_path, data_dir, FLAGS)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("checkpoints/step-*.npz")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out, err = finish(start(tmp_path, data_dir, FLAGS))
    assert "resuming" in err
    (name, resumed), (expected_name, expected) = weights(tmp_path), weights(uninterrupted)
    assert name == expected_name and resumed.keys() == expected.keys()
    assert all(np.array_equal(resumed[key], expected[key]) for key in expected)
    assert [line["loss"] for line in lines(tmp_path)] == [line["loss"] for line in lines(uninterrupted)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_cleanly(tmp_path, data_dir, number):
    process = start(tmp_path, data_dir, [*FLAGS, "--steps=100000", "--save_every=100000"])
    deadline = time.monotonic() + 240
    while len(lines(tmp_path)) < 3 if (tmp_path / "train.jsonl").exists() else True:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, number)
    out, err = finish(process, code=130)
    assert "interrupted after step" in out and "Traceback" not in err
    step = int(out.split("step ")[1].split()[0])
    assert weights(tmp_path)[0] == f"step-{step:08d}.npz"


def test_another_experiment_in_the_folder_is_refused(uninterrupted, data_dir):
    before = {path: path.read_bytes() for path in uninterrupted.rglob("*") if path.is_file()}
    _, err = finish(start(uninterrupted, data_dir, [*FLAGS, "--batch_size=4"]), code=2)
    assert err.strip().splitlines()[-1].startswith("error: --workdir") and "batch_size 2 there, 4 now" in err
    assert before == {path: path.read_bytes() for path in uninterrupted.rglob("*") if path.is_file()}


def test_a_loss_that_is_not_finite_names_the_pictures(tmp_path, data_dir):
    _, err = finish(start(tmp_path, data_dir, [*FLAGS, "--base_learning_rate=1e12", "--steps=50"]), code=2)
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: step ") and "the loss is" in last and "pictures 0" in last
