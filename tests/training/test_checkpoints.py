"""Checkpoints: whole or not there, and the one before where the newest is damaged."""

import logging

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.training.checkpoints import Checkpoints, checkpoint_of, state_variables
from deeplab_tf.training.solver import AdamW, CaffeSGD
from deeplab_tf.weights.converting import convert_weights
from deeplab_tf.weights.loading import load_weights
from deeplab_tf.weights.npz import write_arrays


def state(seed=0, classes=4, width=0.05, solver=CaffeSGD):
    model = build_model("vgg16_largefov", classes, width=width, seed=seed)
    optimizer = solver()
    optimizer.build(model.trainable_variables)
    random = np.random.default_rng(seed)
    for variable in (*model.variables, *optimizer.variables):
        if variable.dtype == "float32" and variable.shape:
            variable.assign(random.normal(size=variable.shape).astype(np.float32))
    return model, optimizer


def restore(checkpoints, model, optimizer):
    saved = checkpoints.newest()
    saved.assign_to(model, optimizer)
    return saved.step


def values(model, optimizer):
    return [np.array(v) for v in (*model.variables, *optimizer.variables)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("solver", [CaffeSGD, AdamW])
def test_restores_every_variable_bit_by_bit(tmp_path, solver):
    saved, fresh = state(1, solver=solver), state(2, solver=solver)
    saved[1].iterations.assign(5)  # Adam's rate hangs on it
    Checkpoints(tmp_path).save(*saved, step=7)
    assert not same(values(*saved), values(*fresh))
    assert restore(Checkpoints(tmp_path), *fresh) == 7
    assert same(values(*saved), values(*fresh))


def test_every_variable_has_a_name_of_its_own():
    model, _ = state()
    assert {id(v) for v in state_variables(model).values()} == {id(v) for v in model.variables}


def test_keeps_the_newest(tmp_path):
    saved, checkpoints = state(), Checkpoints(tmp_path, keep=2)
    for step in (10, 20, 30):
        checkpoints.save(*saved, step=step)
    assert [path.name for path in checkpoints.paths()] == ["step-00000030.npz", "step-00000020.npz"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped"])
def test_a_damaged_newest_falls_back_and_says_so(tmp_path, damage, caplog):
    first, second, fresh = state(1), state(2), state(3)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(*first, step=10)
    path = checkpoints.save(*second, step=20)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes(data[: {"truncated": len(data) // 2, "empty": 0, "flipped": len(data)}[damage]])
    with caplog.at_level(logging.WARNING):
        assert restore(checkpoints, *fresh) == 10
    assert same(values(*fresh), values(*first)) and f"{path} is damaged: falling back" in caplog.text
    with pytest.raises(UserError, match=f"{path}: .*damaged file; .* remove it, so that the one before it serves$"):
        load_weights(fresh[0], path)


def test_what_killed_runs_left_unfinished_does_not_pile_up(tmp_path):
    for step in (10, 20):
        (tmp_path / f".step-{step:08d}.npz.0123abcd.partial").write_bytes(b"half")
    Checkpoints(tmp_path).save(*state(), step=10)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010.npz"]


def test_a_deleted_newest_leaves_the_one_before(tmp_path):
    first, fresh, checkpoints = state(1), state(3), Checkpoints(tmp_path)
    checkpoints.save(*first, step=10)
    checkpoints.save(*state(2), step=20).unlink()
    assert restore(checkpoints, *fresh) == 10 and same(values(*fresh), values(*first))


def test_the_best_stays_however_old(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint_of(tmp_path, "best")
    checkpoints.save(*state(1), step=5)
    with pytest.raises(UserError, match="best.npz.*--eval_every"):
        checkpoint_of(tmp_path, "best")
    checkpoints.save_best(*state(2), step=7, score=0.5, judged_by="five pictures")
    assert (checkpoints.read_best().score, checkpoints.read_best().judged_by) == (0.5, "five pictures")
    for step in (10, 20):
        checkpoints.save(*state(3), step=step)
    assert [path.name for path in checkpoints.paths()] == ["step-00000020.npz"]
    assert checkpoint_of(tmp_path) == checkpoints.paths()[0] and checkpoint_of(tmp_path, "best") == checkpoints.best
    fresh = state(4)[0]
    load_weights(fresh, checkpoints.best)
    assert np.array_equal(fresh.weights[0], state(2)[0].weights[0])


def test_a_damaged_best_is_said_and_counts_for_nothing(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.read_best() is None and not caplog.text
    checkpoints.best.write_bytes(b"half")
    assert checkpoints.read_best() is None and "best.npz is damaged" in caplog.text


def test_all_damaged_is_an_error_not_a_fresh_start(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(*state(), step=10).write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="none of its 1 checkpoints"):
        checkpoints.newest()


def test_another_model_is_refused_untouched(tmp_path):
    Checkpoints(tmp_path).save(*state(1), step=10)
    other = state(2, classes=5)
    before = values(*other)
    with pytest.raises(UserError, match="checkpoint of another model.*fc8_voc12"):
        restore(Checkpoints(tmp_path), *other)
    assert same(before, values(*other))


def test_a_failed_write_leaves_the_last_good_one(tmp_path, monkeypatch):
    saved, checkpoints = state(1), Checkpoints(tmp_path)
    checkpoints.save(*saved, step=10)

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(UserError, match="No space left"):
        checkpoints.save(*state(2), step=20)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010.npz"]
    fresh = state(3)
    assert restore(checkpoints, *fresh) == 10 and same(values(*fresh), values(*saved))


def test_a_checkpoint_is_a_weights_file(tmp_path):
    saved, fresh = state(1), state(2)
    path = Checkpoints(tmp_path).save(*saved, step=10)
    report = load_weights(fresh[0], path)
    assert not report.reinitialised and set(report.skipped) >= {"training/step", "solver/0000", "drop6/seed"}
    for a, b in zip(saved[0].weights, fresh[0].weights, strict=True):
        assert np.array_equal(a, b), a.path


def test_a_checkpoint_is_converted_without_the_solvers_state(tmp_path):
    saved, fresh = state(1), state(2)
    convert_weights(Checkpoints(tmp_path).save(*saved, step=10), tmp_path / "weights.npz")
    assert not load_weights(fresh[0], tmp_path / "weights.npz").skipped
    for a, b in zip(saved[0].trainable_weights, fresh[0].trainable_weights, strict=True):
        assert np.array_equal(a, b), a.path


def test_the_checkpoint_of_a_run_or_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        checkpoint_of(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    write_arrays(tmp_path / "checkpoints" / "step-00000003.npz", {"a/b": np.zeros(1)})
    assert checkpoint_of(tmp_path).name == "step-00000003.npz"


def test_no_checkpoint_is_a_fresh_start(tmp_path):
    assert Checkpoints(tmp_path / "not_made").newest() is None


def test_it_says_what_was_trained(tmp_path):
    model, optimizer = state()
    Checkpoints(tmp_path).save(model, optimizer, step=1)
    assert set(Checkpoints(tmp_path).newest().trained) == set(state_variables(model)) - {"drop6/seed", "drop7/seed"}
