"""A training run in its folder, from config to the last checkpoint. What `python -m deeplab_tf.train` calls."""

from __future__ import annotations

import logging
import os
import pathlib

import keras

from deeplab_tf.datasets import sources
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.datasets.statistics import median_frequency_weights
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.counting import confusion_of
from deeplab_tf.experiment.config import ExperimentConfig, size_multiple
from deeplab_tf.experiment.network import model_of
from deeplab_tf.experiment.recipes import describe
from deeplab_tf.experiment.run_folder import data_dir_of, dataset_of, load_config, load_spec, save_description
from deeplab_tf.experiment.settings import all_settings
from deeplab_tf.pages.curves import draw_curves
from deeplab_tf.training.board import open_board
from deeplab_tf.training.checkpoints import Checkpoints, state_variables
from deeplab_tf.training.loop import Pace, run_steps
from deeplab_tf.training.planner import check_memory, measured_rate, plan
from deeplab_tf.training.recorder import Recorder
from deeplab_tf.training.schedules import learning_rate
from deeplab_tf.training.solver import CaffeSGD
from deeplab_tf.training.step import make_step
from deeplab_tf.training.strategies import Devices, open_devices
from deeplab_tf.weights.loading import load_weights
from deeplab_tf.whole_files import make_folder

_log = logging.getLogger(__name__)
_MAY_DIFFER = {
    "data_dir", "atrous_method",
    *(name for section, _, name in all_settings() if section in ("devices", "record", "eval", "crf")),
}  # fmt: skip
"""Settings that a resumed run may have changed: they do not change what is learnt."""


def train(config: ExperimentConfig, workdir: str | os.PathLike) -> dict:
    """Trains the experiment in `workdir`, from its newest checkpoint where it has one.

    Writes config.json, flags.txt, dataset.json, checkpoints/, train.jsonl, curves.png and, with the package
    tensorboard, tensorboard/.

    Returns:
      {"step", "loss", "interrupted", "checkpoint"}.

    Raises:
      UserError: wrong data, weights, workdir or settings that do not fit together.
    """
    workdir, solver = pathlib.Path(workdir), config.solver
    _log.info("%s", describe(config))
    devices = open_devices(config.devices.strategy, cpu_devices=config.devices.cpu_devices)
    _require_shares(solver, devices)
    with devices.errors(workdir):
        return _train(config, workdir, devices)


def _train(config: ExperimentConfig, workdir: pathlib.Path, devices: Devices) -> dict:
    solver, record, spec = config.solver, config.record, dataset_of(config)
    _log.info("%s", _arithmetic(spec))
    _require_classes(config.data.ignore_classes or (), spec)
    split = (spec, data_dir_of(config), config.data.train_split)
    checkpoints = Checkpoints(workdir / "checkpoints", record.keep_checkpoints)
    saved = checkpoints.newest()
    if saved:
        _refuse_other_experiment(config, spec, workdir)
    start = saved.step if saved else 0
    _require_same_start(devices, start, workdir)

    keras.utils.set_random_seed(solver.seed)
    with devices.strategy.scope():
        model = model_of(config, spec.num_classes)
        _unfreeze(model, saved.trained if saved else _initial_weights(model, config))
        optimizer = _optimizer(solver)
    class_weights = None
    if start < solver.steps:
        _plan(config, model, solver.steps - start, devices.workers)
        class_weights = _class_weights(solver.class_weights, *split)
    step = make_step(
        model, optimizer, iter_size=solver.iter_size, ignore_label=spec.ignore_label, class_weights=class_weights,
        ignore_classes=config.data.ignore_classes or (), recompute=config.devices.recompute, strategy=devices.strategy,
    )  # fmt: skip
    if saved:
        saved.assign_to(model, optimizer)
        _log.info("resuming %s after step %d", workdir, start)
    chief = devices.worker == 0
    if chief:
        make_folder(workdir)
        save_description(workdir, config, spec)
    if start >= solver.steps:
        return {"step": start, "loss": None, "interrupted": False, "checkpoint": str(checkpoints.paths()[0])}
    batches = sources.training(
        *split, crop_size=config.data.crop_size, batch_size=solver.batch_size * solver.iter_size,
        iter_size=solver.iter_size, scales=config.data.augment_scales, scale_range=config.data.augment_range,
        mirror=config.data.mirror, seed=solver.seed, start_step=start, shard_index=devices.worker,
        shard_count=devices.workers,
    )  # fmt: skip
    pace = Pace(
        solver.steps, solver.iter_size, record.log_every, record.save_every, record.eval_every, record.collapse_after
    )
    board = open_board(workdir / "tensorboard", spec.palette) if chief else None
    log_file = workdir / "train.jsonl" if chief else None
    with (
        sources.errors(*split),
        Recorder(
            log_file, spec.class_names, start=start, steps=solver.steps, losses=saved.losses if saved else (), board=board
        ) as recorder,
    ):
        summary = run_steps(
            step, batches, model, optimizer, checkpoints, recorder, start=start, pace=pace, devices=devices,
            evaluate=_evaluation(config, model, spec, chief) if record.eval_every else None,
        )  # fmt: skip
    if chief:
        draw_curves(workdir / "train.jsonl", workdir / "curves.png")
    kept = checkpoints.paths()
    return summary | {"checkpoint": str(kept[0]) if kept else None}


def _plan(config: ExperimentConfig, model, steps: int, workers: int) -> None:
    """Tells what the run will take; refuses what --memory_limit forbids."""
    solver = config.solver
    wanted = plan(
        model, crop_size=config.data.crop_size, batch_size=solver.batch_size, iter_size=solver.iter_size,
        steps=steps, recompute=config.devices.recompute, workers=workers, rate=measured_rate(config.model.precision),
    )  # fmt: skip
    _log.info("%s", wanted.text())
    if config.devices.memory_limit:
        check_memory(model, wanted, config.devices.memory_limit, size_multiple(config))


def _require_shares(solver, devices: Devices) -> None:
    if solver.batch_size % devices.replicas:
        raise UserError(
            f"--batch_size: got {solver.batch_size} for {devices.replicas} devices, expected a multiple of them; take "
            f"{-(-solver.batch_size // devices.replicas) * devices.replicas}."
        )


def _require_same_start(devices: Devices, start: int, workdir: pathlib.Path) -> None:
    starts = devices.of_all_workers(start)
    if len(set(starts)) > 1:
        raise UserError(
            f"--workdir {workdir}: the workers' newest checkpoints are of steps {', '.join(map(str, starts))}, expected one "
            "step; give all workers the chief's folder, or copies of it."
        )


def _evaluation(config: ExperimentConfig, model, spec: DatasetSpec, progress: bool):
    """Judges the model as it is, on the first pictures of the evaluation split."""
    split = (spec, data_dir_of(config), config.data.eval_split)
    sources.open_split(*split)  # what is missing is said now, not after the first thousand steps

    def evaluate():
        with sources.errors(*split):
            examples = sources.evaluation(*split, limit=config.record.eval_images)
            return confusion_of(model, spec, examples, tile=config.eval.tile, progress=progress)

    return evaluate


def _optimizer(solver) -> CaffeSGD:
    schedule = learning_rate(
        solver.policy, base=solver.base_learning_rate, steps=solver.steps, power=solver.power,
        step_size=solver.step_size, gamma=solver.gamma,
    )  # fmt: skip
    return CaffeSGD(schedule, solver.momentum, solver.weight_decay, solver.head_multiplier)


def _class_weights(kind: str, spec: DatasetSpec, data_dir: str, split: str) -> tuple[float, ...] | None:
    if kind == "none":
        return None
    weights = median_frequency_weights(sources.class_frequencies(spec, data_dir, split))
    _log.info("class weights: %s", ", ".join(f"{n} {w:.2f}" for n, w in zip(spec.class_names, weights, strict=True)))
    return tuple(map(float, weights))


def _initial_weights(model, config: ExperimentConfig) -> tuple[str, ...]:
    """Loads them where the config names some; returns the variables that a grown network must train besides."""
    if not config.model.weights:
        return ()
    report = load_weights(model, config.model.weights, seed=config.solver.seed)
    _log.info("%s", report.table())
    return report.grown


def _unfreeze(model, names: tuple[str, ...]) -> None:
    """Lets the solver train `names` too, which frozen batch norm would keep fixed."""
    for name, variable in state_variables(model).items():
        if name in names:
            variable.trainable = True


def _arithmetic(spec: DatasetSpec) -> str:
    """Which labels are classes: whether background counts is what users ask most."""
    names = ", ".join(f"{number} {name}" for number, name in enumerate(spec.class_names))
    return f"{spec.name}: {spec.num_classes} classes ({names}); {spec.ignore_label} is void, neither trained nor counted"


def _require_classes(ignored: tuple[int, ...], spec: DatasetSpec) -> None:
    if ignored and (max(ignored) >= spec.num_classes or len(set(ignored)) >= spec.num_classes):
        raise UserError(
            f"--ignore_classes: got {','.join(map(str, ignored))}, expected some, not all, of the train ids 0 to "
            f"{spec.num_classes - 1} of {spec.name}; correct the list."
        )


def _refuse_other_experiment(config: ExperimentConfig, spec: DatasetSpec, workdir: pathlib.Path) -> None:
    there, here = load_config(workdir).flat(), config.flat()
    changed = [
        f"{name} {there[name]!r} there, {here[name]!r} now"
        for name in here
        if there[name] != here[name] and name not in _MAY_DIFFER
    ]
    before, now = load_spec(workdir).class_names, spec.class_names
    if before != now:
        changed.append(f"classes {', '.join(before)} there, {', '.join(now)} now")
    if changed:
        raise UserError(f"--workdir {workdir} holds another experiment ({'; '.join(changed)}); choose another folder.")
