"""What a run must not do without a word: the rules round the steps, as a user meets them."""

import json
import os
import signal
import time

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.trainer import train
from tests.training.trainer import NARROW, finish, start

FLAGS = [
    *NARROW,
    "--batch_size=2",
    "--save_every=4",
    "--log_every=2",
    "--steps=8",
    "--base_learning_rate=0.01",
    "--eval_every=4",
    "--eval_images=2",
]


def last(err):
    return err.strip().splitlines()[-1]


def log(workdir):
    return [json.loads(line) for line in (workdir / "train.jsonl").read_text().splitlines()]


def best(workdir):
    with np.load(workdir / "checkpoints" / "best.npz") as file:
        return int(file["training/step"]), float(file["training/score"]), str(file["training/judged_by"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    finish(start(workdir, data_dir, [*FLAGS, "--policy=step", "--ignore_classes=0"]))
    return workdir


def test_an_ignored_class_has_no_iou_and_the_best_keeps_its_score(finished):
    evaluations = [line for line in log(finished) if "mean_iou" in line]
    for line in evaluations:
        known = [iou for name, iou in line["per_class_iou"].items() if iou is not None]
        assert line["per_class_iou"]["background"] is None and line["mean_iou"] == pytest.approx(np.mean(known))
    step, score, _ = best(finished)
    assert score == max(line["mean_iou"] for line in evaluations) and step in (4, 8)


def test_more_steps_go_on_and_the_best_is_judged_by_the_new_settings(finished, data_dir):
    """Without train.jsonl, with other pictures to judge by, and with steps that the step policy may be given."""
    (finished / "train.jsonl").unlink()
    flags = [*FLAGS, "--policy=step", "--ignore_classes=0", "--steps=12", "--eval_images=3"]
    _, err = finish(start(finished, data_dir, flags))
    assert "judged anew" in err and "resuming" in err
    _, score, settings = best(finished)
    assert json.loads(settings)["images"] == 3 and score >= log(finished)[-1]["mean_iou"]


def test_more_steps_of_a_poly_run_are_refused_with_the_way_out(tmp_path, data_dir):
    workdir = tmp_path / "run"
    finish(start(workdir, data_dir, [*FLAGS, "--steps=2", "--eval_every=0"]))
    _, err = finish(start(workdir, data_dir, [*FLAGS, "--steps=4", "--eval_every=0"]), code=2)
    assert last(err).startswith("error: --steps: got 4 for a run of 2") and "step-00000002.npz --workdir=ANOTHER" in last(err)


def test_a_second_trainer_is_refused_and_a_signal_in_an_evaluation_ends_the_first(tmp_path, data_dir):
    flags = [*FLAGS, "--eval_images=100", "--eval_every=8"]
    first = start(tmp_path / "run", data_dir, flags)
    while not (tmp_path / "run" / "train.jsonl").exists() or not any(line["step"] == 8 for line in log(tmp_path / "run")):
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # in its evaluation
    _, err = finish(start(tmp_path / "run", data_dir, flags), code=2)
    assert "run: in use (train, process" in last(err)
    first.send_signal(signal.SIGCONT)
    os.kill(first.pid, signal.SIGTERM)
    out, err = finish(first, code=130)
    assert "interrupted after step 8 of 8, saved" in out and "Traceback" not in err
    assert not any("mean_iou" in line for line in log(tmp_path / "run"))
    finish(start(tmp_path / "run", data_dir, [*flags, "--eval_images=2"]))  # what the signal left out is made up for
    assert [line["step"] for line in log(tmp_path / "run") if "mean_iou" in line] == [8] and best(tmp_path / "run")[0] == 8


def test_a_narrow_resnet_trains_from_nothing(tmp_path, data_dir):
    flags = [
        "--model=resnet50_aspp",
        "--dataset=folder",
        "--width=0.05",
        "--crop_size=65",
        "--batch_size=4",
        "--steps=12",
        "--log_every=1",
    ]
    _, err = finish(start(tmp_path / "run", data_dir, flags))
    losses = [line["loss"] for line in log(tmp_path / "run")]
    assert "batch norm, which has no statistics to keep, is trained" in err
    assert len(losses) == 12 and np.isfinite(losses).all() and max(losses) < 20


@pytest.mark.parametrize("flags, message", [
    (["--ignore_classes=0,1,2,3,4"], "--ignore_classes: got 0,1,2,3,4, expected train ids of folder"),
    (["--width=0.005"], "--width: got 0.005, expected a factor from 0.008"),
    (["--scales=0.2,1", "--crop_size=129"], "--crop_size: got 129, expected 160n+1"),
    (["--learning_rate=0.1"], "--base_learning_rate"),
])  # fmt: skip
def test_one_sentence_for(flags, message, tmp_path, data_dir):
    _, err = finish(start(tmp_path / "run", data_dir, [*FLAGS, *flags]), code=2)
    assert message in last(err) and not (tmp_path / "run").exists()


def test_weights_that_tensorflow_takes_for_frozen_are_not_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
    with pytest.raises(UserError, match="is set to 1, expected weights that may change in a training; unset it"):
        train(ExperimentConfig(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_scales_that_need_larger_crops_train(tmp_path, data_dir):
    flags = [*FLAGS, "--scales=0.2,1", "--crop_size=161", "--batch_size=1", "--steps=1", "--eval_every=0", "--width=0.02"]
    out, _ = finish(start(tmp_path / "run", data_dir, flags))
    assert out.startswith("trained vgg16_largefov for 1 steps")


@pytest.mark.parametrize(
    "steps, setting, expected",
    [(8, 0.1, 20), (1200, 0.1, 120), (20000, 0.1, 500), (1200, 0, 0), (1200, 500, 500), (1200, 1, 1)],
)
def test_the_collapse_alarm_is_a_share_of_the_steps(steps, setting, expected):
    from deeplab_tf.experiment.trainer import _pace

    assert _pace(ExperimentConfig.create(steps=steps, collapse_after=setting)).collapse_after == expected
