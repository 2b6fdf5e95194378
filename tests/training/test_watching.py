"""What a run tells on its way: evaluations, the best checkpoint, TensorBoard events, and the alarm at a collapse."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deeplab_tf.errors import UserError
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.pages.curves import draw_curves
from deeplab_tf.training.checkpoints import Checkpoints
from deeplab_tf.training.loop import Pace, run_steps
from deeplab_tf.training.recorder import Recorder
from deeplab_tf.training.solver import CaffeSGD
from deeplab_tf.training.strategies import open_devices
from tests.doors_forked import run_door
from tests.full_disk import full_disk
from tests.training.trainer import NARROW


def door(name, *flags):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", f"deeplab_tf.{name}", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def watched(tmp_path_factory, data_dir):
    """A run over a range of scales that is evaluated every other step."""
    workdir = tmp_path_factory.mktemp("watched")
    done = door(
        "train", *NARROW, "--batch_size=2", "--steps=6", "--save_every=3", "--log_every=2", "--base_learning_rate=0.05",
        "--augment_range=0.5,1.5", "--eval_every=2", "--eval_images=3", f"--data_dir={data_dir}",
        f"--workdir={workdir}",
    )  # fmt: skip
    return workdir, done.stderr


def test_evaluations_are_logged_and_the_best_is_kept(watched):
    workdir, err = watched
    log = [json.loads(line) for line in (workdir / "train.jsonl").read_text().splitlines()]
    found = {line["step"]: line for line in log if "mean_iou" in line}
    assert sorted(found) == [2, 4, 6] and "mean IoU" in err
    with np.load(workdir / "checkpoints" / "best.npz") as best:
        step = int(best["training/step"])
    assert found[step]["mean_iou"] == max(line["mean_iou"] for line in found.values())
    done = run_door("eval", f"--workdir={workdir}", "--checkpoint=best", "--max_images=3", "--nocrf")
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((workdir / "eval" / "val" / "result.json").read_text())
    assert result["mean_iou"] == pytest.approx(found[step]["mean_iou"], rel=1e-6)
    assert result["per_class_iou"] == pytest.approx(found[step]["per_class_iou"], rel=1e-6)


def test_nothing_of_tensorflows_own_is_told(watched):
    told = watched[1].splitlines()
    assert told[0].startswith("recipe: ")
    assert not [line for line in told if line.startswith(("WARNING", "I0000", "E0000", "W0000"))]


def test_the_start_tells_the_deviations(watched):
    assert "deviations from the published recipe:" in watched[1]
    assert "augment_range 0.5,1.5 (published: none)" in watched[1]
    assert "plan: " in watched[1] and "GiB for crops of 65" in watched[1]


def test_curves_are_drawn(watched):
    picture = tf.io.decode_png((watched[0] / "curves.png").read_bytes())
    assert picture.shape == (3 * 230, 960, 3)  # loss, rate, evaluations
    assert all(len(np.unique(panel)) > 10 for panel in np.split(picture.numpy(), 3))


def test_curves_of_nothing_and_of_losses_that_are_all_zero(tmp_path):
    log, out = tmp_path / "train.jsonl", tmp_path / "curves.png"
    assert draw_curves(log, out) is None
    lines = [{"step": step, "loss": 0.0, "learning_rate": 0.0} for step in (1, 2)]
    log.write_text(json.dumps(lines[0]) + "\n")
    assert draw_curves(log, out) is None and not out.exists()
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert draw_curves(log, out) == out and tf.io.decode_png(out.read_bytes()).shape == (2 * 230, 960, 3)
    before = out.read_bytes()
    with full_disk(), pytest.raises(UserError, match="curves.png: cannot be written"):
        draw_curves(log, out)
    assert out.read_bytes() == before and len(list(tmp_path.iterdir())) == 2


def test_log_lines_stand_above_the_bar(capsys):
    console = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(console)
    try:
        with Recorder(None, "abc", start=0, steps=9):
            assert console not in logging.getLogger().handlers
        assert console in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(console)


def test_tensorboard_shows_losses_weights_pictures_and_confusion(watched):
    events = EventAccumulator(str(watched[0] / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {"loss", "losses/0", "decay_loss", "learning_rate", "images_per_second", "eval/mean_iou", "eval/confusion",
            "pictures", "norms/conv1_1/kernel", "norms/fc8_voc12/bias"} <= tags  # fmt: skip
    losses = {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss")}
    log = [json.loads(line) for line in (watched[0] / "train.jsonl").read_text().splitlines()]
    assert losses == {line["step"]: pytest.approx(line["loss"], rel=1e-6) for line in log if "loss" in line}
    strip = tf.io.decode_png(tf.make_ndarray(events.Tensors("pictures")[0].tensor_proto)[2])
    assert strip.shape == (65, 3 * 65, 3)  # picture, label, prediction


def run_with(predicted, labelled, tmp_path, collapse_after):
    """A loop over steps that give these class counts."""
    model, optimizer = build_model("vgg16_largefov", 3, width=0.05), CaffeSGD()
    optimizer.build(model.trainable_variables)
    results = {"loss": tf.constant(1.0), "losses": tf.constant([1.0]), "decay_loss": tf.constant(0.0),
               "predicted": tf.constant(predicted), "labelled": tf.constant(labelled)}  # fmt: skip
    batch = {"image": tf.zeros((1, 9, 9, 3)), "label": tf.zeros((1, 9, 9), tf.uint8), "id": tf.constant([b"some picture"])}
    checkpoints = Checkpoints(tmp_path)
    with Recorder(None, "abc", start=0, steps=9) as recorder:
        return run_steps(
            lambda images, labels: results, [batch] * 9, model, optimizer, checkpoints, recorder, start=0,
            pace=Pace(9, save_every=2, collapse_after=collapse_after), devices=open_devices(),
        )  # fmt: skip


def test_a_collapse_stops_the_run_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"step 5: .*collapsed to class 1 for 5 steps .*some picture.*step-00000004"):
        run_with([0, 81, 0], [40, 41, 0], tmp_path, 5)
    assert Checkpoints(tmp_path).newest().step == 4


@pytest.mark.parametrize(
    "predicted, labelled, after",
    [([0, 80, 1], [40, 41, 0], 5), ([0, 81, 0], [0, 81, 0], 5), ([0, 81, 0], [40, 41, 0], 0)],
    ids=["two classes predicted", "one class there", "switched off"],
)
def test_what_is_no_collapse(tmp_path, predicted, labelled, after):
    assert run_with(predicted, labelled, tmp_path, after)["step"] == 9
