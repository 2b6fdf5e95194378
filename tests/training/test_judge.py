"""Who is best, by which settings, and what an evaluation that predicts one class alone says."""

import numpy as np
import pytest

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.training.checkpoints import Checkpoints
from deeplab_tf.training.judge import Examples, Judge, Stopped
from deeplab_tf.training.recorder import Recorder
from deeplab_tf.training.solver import CaffeSGD


@pytest.fixture(scope="module")
def state():
    model, optimizer = build_model("vgg16_largefov", 3, width=0.02), CaffeSGD()
    optimizer.build(model.trainable_variables)
    return model, optimizer


def counts(right):
    """Of 100 pixels of two classes so many are right, the others are taken for the third class."""
    labels = np.array([0, 1] * 50)
    found = ConfusionMatrix(3)
    found.update(labels, np.where(np.arange(100) < right, labels, 2))
    return found


def judge(folder, settings, scores, state):
    """The best steps after evaluations with these scores, told to a recorder; and the judge."""
    scores, best = iter(scores), []
    found = Judge(lambda stop: counts(next(scores)), Checkpoints(folder), settings, "abc")
    found.resume(*state)
    with Recorder(None, "abc", start=0, steps=9) as recorder:
        for step in range(1, 9):
            try:
                assert found(step, *state, recorder, lambda: False)
            except StopIteration:
                break
            best.append(Checkpoints(folder).read_best().step)
    return best


def test_the_best_is_the_last_of_equals(tmp_path, state):
    assert judge(tmp_path, {"images": 5}, [40, 60, 50, 60], state) == [1, 2, 2, 4]


def test_scores_of_the_same_settings_are_compared_over_runs_without_any_log(tmp_path, state):
    judge(tmp_path, {"images": 5}, [40, 60], state)
    assert judge(tmp_path, {"images": 5}, [50, 70], state) == [2, 2]


def test_a_score_of_other_settings_is_made_anew(tmp_path, state, caplog):
    judge(tmp_path, {"images": 5}, [40, 90], state)
    with caplog.at_level("INFO", "deeplab_tf"):
        assert judge(tmp_path, {"images": 9}, [30, 20, 50], state) == [2, 2]  # 30: the old best by the new settings
    assert "judged anew" in caplog.text and "9" in Checkpoints(tmp_path).read_best().judged_by


def test_an_evaluation_ends_when_it_is_asked_to(state):
    import tensorflow as tf

    asked = []
    examples = Examples(tf.data.Dataset.range(5), lambda: asked.append(1) or len(asked) > 2)
    assert len(examples) == 5
    with pytest.raises(Stopped):
        list(examples)
    assert len(asked) == 3


@pytest.mark.parametrize("predicted, labels, warned", [(0, (0, 1), True), (0, (0, 0), False), (None, (0, 1), False)])
def test_one_predicted_class_is_warned_of_once(tmp_path, state, caplog, predicted, labels, warned):
    found = ConfusionMatrix(3)
    found.update(np.array(labels), np.array(labels) if predicted is None else np.full(2, predicted))
    judged = Judge(lambda stop: found, Checkpoints(tmp_path), {}, ("road", "car", "sky"), keeps=False)
    with Recorder(None, "abc", start=0, steps=9) as recorder:
        for step in (1, 2):
            judged(step, *state, recorder, lambda: False)
    assert caplog.text.count("predicts the class road alone") == warned
