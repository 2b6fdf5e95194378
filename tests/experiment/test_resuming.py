"""What a resumed run may have changed, and a training set with nothing to tell apart."""

import cv2
import numpy as np
import pytest

from deeplab_tf.datasets.specs import folder_spec, get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.resuming import refuse_other_experiment
from deeplab_tf.experiment.run_folder import save_description
from deeplab_tf.experiment.training_classes import require_classes


def check(tmp_path, before, now):
    spec = get_dataset("miniature")
    save_description(tmp_path, ExperimentConfig.create(**before), spec)
    refuse_other_experiment(ExperimentConfig.create(**now), spec, tmp_path, tmp_path / "checkpoints" / "step-00000008.npz")


@pytest.mark.parametrize("before, now", [
    ({"weights": "/old/place/vgg.npz"}, {"weights": "elsewhere/vgg.npz"}),
    ({"policy": "step", "steps": 8}, {"policy": "step", "steps": 12}),
    ({"eval_images": 8, "data_dir": "a"}, {"eval_images": 12, "data_dir": "b"}),
])  # fmt: skip
def test_what_may_change(tmp_path, before, now):
    check(tmp_path, before, now)


@pytest.mark.parametrize("before, now, message", [
    ({"weights": "a/vgg.npz"}, {"weights": "a/other.npz"}, "another experiment .weights 'vgg.npz' there, 'other.npz' now"),
    ({"weights": "a/vgg.npz"}, {}, "weights 'vgg.npz' there, None now"),
    ({"policy": "step", "steps": 8}, {"policy": "step", "steps": 6}, "steps 8 there, 6 now"),
    ({"steps": 8}, {"steps": 12}, "--steps: got 12 for a run of 8.*--weights=.*step-00000008.npz --workdir=ANOTHER"),
    ({"steps": 8}, {"steps": 12, "batch_size": 3}, "steps 8 there, 12 now; batch_size 10 there, 3 now"),
])  # fmt: skip
def test_what_may_not(tmp_path, before, now, message):
    with pytest.raises(UserError, match=message):
        check(tmp_path, before, now)


@pytest.mark.parametrize("values, ignored, message", [
    ((0, 0), (), "hold nothing but 'sky', expected at least two"),
    ((0, 1), (1,), "hold nothing but 'sky', apart from classes that are ignored"),
    ((2, 2), (), None),
    ((0, 1), (1, 2), "--ignore_classes: got 1,2, expected train ids of folder, 0 to 2, that leave two"),
    ((0, 1), (3,), "--ignore_classes: got 3"),
])  # fmt: skip
def test_a_training_set_needs_two_classes(tmp_path, values, ignored, message):
    (tmp_path / "labels.txt").write_text("sky\ncar\nroad\n")
    for name in ("images", "masks"):
        (tmp_path / name / "train").mkdir(parents=True)
    for number, value in enumerate(values):
        cv2.imwrite(str(tmp_path / "images" / "train" / f"{number}.png"), np.zeros((9, 9, 3), np.uint8))
        mask = np.full((9, 9), value, np.uint8)
        mask[0] = 255 if message else 1
        cv2.imwrite(str(tmp_path / "masks" / "train" / f"{number}.png"), mask)
    spec = folder_spec(tmp_path / "labels.txt")
    if message is None:
        require_classes(ignored, spec, tmp_path, "train")
        return
    with pytest.raises(UserError, match=message):
        require_classes(ignored, spec, tmp_path, "train")
