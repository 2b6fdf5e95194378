"""kill -9 at random moments, and a disk that fills up: the finished run has the bits of an undisturbed one."""

import json
import os
import random
import resource
import shutil
import signal
import time

import numpy as np
import pytest

from tests.training.trainer import NARROW, finish, start

KILLS = int(os.environ.get("DEEPLAB_TF_KILLS", 1))  # the claim of 20 is measured with DEEPLAB_TF_KILLS=20
STEPS = max(40, 10 * KILLS)
FLAGS = [
    *NARROW,
    "--batch_size=2",
    "--save_every=3",
    "--log_every=2",
    f"--steps={STEPS}",
    "--base_learning_rate=0.01",
    "--augment_scales=0.75,1",
    "--eval_every=20",
    "--eval_images=2",
]


def log(workdir):
    path = workdir / "train.jsonl"
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:  # it is being written
            break
    clocks = ("images_per_second", "input_wait")
    return [{name: value for name, value in line.items() if name not in clocks} for line in lines]


def assert_same_run(workdir, whole):
    assert log(workdir) == log(whole)
    for name in (f"step-{STEPS:08d}.npz", "best.npz"):
        with np.load(workdir / "checkpoints" / name) as found, np.load(whole / "checkpoints" / name) as expected:
            assert found.files == expected.files
            assert all(np.array_equal(found[key], expected[key]) for key in expected.files), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("whole")
    finish(start(workdir, data_dir, FLAGS))
    assert log(workdir)[-1]["step"] == STEPS and "mean_iou" in log(workdir)[-1]
    return workdir


def test_killed_at_random_moments(tmp_path, data_dir, undisturbed):
    moments, killed_at = random.Random(5), []
    for _ in range(KILLS):
        path, done = tmp_path / "train.jsonl", max((line["step"] for line in log(tmp_path)), default=0)
        cut = path.stat().st_ino if path.exists() else None
        process = start(tmp_path, data_dir, FLAGS)
        # Until it has cut the log back to its checkpoint, which makes a new file, and has come further than the one before.
        while process.poll() is None and not (
            path.exists() and path.stat().st_ino != cut and log(tmp_path) and log(tmp_path)[-1]["step"] > done
        ):
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.2))
        assert process.poll() is None, "the run was over before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed_at.append(max((line["step"] for line in log(tmp_path)), default=0))
    print(f"killed {KILLS} times, last log lines {killed_at}")
    assert max(killed_at) < STEPS and sorted(killed_at) == killed_at
    finish(start(tmp_path, data_dir, FLAGS))
    assert_same_run(tmp_path, undisturbed)


def quota():
    """Writes past this many bytes of a file fail, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, data_dir, undisturbed):
    workdir = tmp_path / "run"
    shutil.copytree(undisturbed, workdir)
    checkpoints = workdir / "checkpoints"
    (checkpoints / f"step-{STEPS:08d}.npz").unlink()
    kept = sorted(path.name for path in checkpoints.iterdir())
    assert f"step-{STEPS - 1:08d}.npz" in kept

    last = finish(start(workdir, data_dir, FLAGS, before=quota), code=2)[1].strip().splitlines()[-1]
    assert last.startswith("error: ") and "cannot be written (File too large); free the disk" in last
    assert sorted(path.name for path in checkpoints.iterdir()) == kept
    finish(start(workdir, data_dir, FLAGS))
    assert_same_run(workdir, undisturbed)
