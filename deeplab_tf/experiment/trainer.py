"""A training run in its folder, from config to the last checkpoint. What `python -m deeplab_tf.train` calls."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pathlib

import keras
import tensorflow as tf

from deeplab_tf.datasets import sources
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.datasets.statistics import median_frequency_weights
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.counting import confusion_of
from deeplab_tf.experiment.config import ExperimentConfig, size_multiple
from deeplab_tf.experiment.network import model_of
from deeplab_tf.experiment.recipes import describe
from deeplab_tf.experiment.resuming import refuse_other_experiment
from deeplab_tf.experiment.run_folder import data_dir_of, dataset_of, save_description
from deeplab_tf.experiment.training_classes import describe_classes, foretell, require_classes
from deeplab_tf.locks import holding
from deeplab_tf.models.zoo import get_preset
from deeplab_tf.pages.curves import draw_curves
from deeplab_tf.training.board import open_board
from deeplab_tf.training.checkpoints import Checkpoints, SavedState, state_variables
from deeplab_tf.training.judge import Examples, Judge
from deeplab_tf.training.loop import Pace, run_steps
from deeplab_tf.training.planner import check_memory, measured_rate, plan
from deeplab_tf.training.recorder import Recorder
from deeplab_tf.training.schedules import learning_rate
from deeplab_tf.training.solver import OPTIMIZERS, AdamW, CaffeSGD
from deeplab_tf.training.step import make_step
from deeplab_tf.training.strategies import Devices, make_deterministic, open_devices
from deeplab_tf.weights.loading import load_weights

_log = logging.getLogger(__name__)


def train(config: ExperimentConfig, workdir: str | os.PathLike) -> dict:
    """Trains the experiment in `workdir`, from its newest checkpoint where it has one.

    Writes config.json, flags.txt, dataset.json, checkpoints/, train.jsonl, curves.png and, with the package
    tensorboard, tensorboard/.

    Returns:
      {"step", "loss", "interrupted", "checkpoint"}.

    Raises:
      UserError: wrong data, weights, workdir or settings that do not fit together, a folder that another run writes to, or
        TensorFlow told that weights do not change (docs/serving.md).
    """
    _refuse_frozen_weights()
    workdir, config = pathlib.Path(workdir), _usable_from_nothing(config)
    _log.info("%s", describe(config))
    devices = open_devices(config.devices.strategy, cpu_devices=config.devices.cpu_devices)
    _require_shares(config.solver, devices)
    with devices.errors(workdir), holding(workdir, "train") if devices.worker == 0 else contextlib.nullcontext():
        return _train(config, workdir, devices)


def _refuse_frozen_weights() -> None:
    """What makes a server faster would make every step see the kernels of the first."""
    name = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"
    if os.environ.get(name, "0").lower() not in ("", "0", "false"):
        raise UserError(f"{name} is set to {os.environ[name]}, expected weights that may change in a training; unset it.")


def _train(config: ExperimentConfig, workdir: pathlib.Path, devices: Devices) -> dict:
    solver, spec, chief = config.solver, dataset_of(config), devices.worker == 0
    split = (spec, data_dir_of(config), config.data.train_split)
    _log.info("%s", describe_classes(spec))
    checkpoints = Checkpoints(workdir / "checkpoints", config.record.keep_checkpoints)
    saved = checkpoints.newest()
    start = saved.step if saved else 0
    if saved:
        refuse_other_experiment(config, spec, workdir, saved.path)
    _require_same_start(devices, start, workdir)
    ignored = config.data.ignore_classes or ()
    require_classes(ignored, *split, read=not saved)
    if chief and not saved:
        foretell(*split, config.data.eval_split, config.data.crop_size, ignored)

    make_deterministic(config.devices.deterministic)
    keras.utils.set_random_seed(solver.seed)
    with devices.strategy.scope():
        model, optimizer = _network(config, spec, saved), _optimizer(solver)
    weights = None
    if start < solver.steps:
        _plan(config, model, solver.steps - start, devices)
        weights = _class_weights(solver.class_weights, *split)
    step = make_step(
        model, optimizer, iter_size=solver.iter_size, ignore_label=spec.ignore_label, class_weights=weights,
        ignore_classes=ignored, recompute=config.devices.recompute, strategy=devices.strategy,
    )  # fmt: skip
    judge = _judge(config, model, spec, checkpoints, chief) if config.record.eval_every else None
    if saved:
        if judge:
            judge.resume(model, optimizer, anew=devices.workers == 1)  # workers assign together or not at all
        saved.assign_to(model, optimizer)
        _log.info("resuming %s after step %d", workdir, start)
    if chief:
        save_description(workdir, config, spec)
    with sources.errors(*split), _recorder(config, spec, workdir, saved, chief) as recorder:
        summary = run_steps(
            step, _batches(config, split, start, devices), model, optimizer, checkpoints, recorder, start=start,
            pace=_pace(config), devices=devices, judge=judge,
        )  # fmt: skip
    if chief:
        draw_curves(workdir / "train.jsonl", workdir / "curves.png")
    kept = checkpoints.paths()
    return summary | {"checkpoint": str(kept[0]) if kept else None}


def _network(config: ExperimentConfig, spec: DatasetSpec, saved: SavedState | None) -> keras.Model:
    """The network as it starts: with its initial weights, or of the shape that the checkpoint fills."""
    model = model_of(config, spec.num_classes)
    trained = ()
    if saved:
        trained = saved.trained
    elif config.model.weights:
        report = load_weights(model, config.model.weights, seed=config.solver.seed)
        _log.info("%s", report.table())
        trained = report.grown
    for name, variable in state_variables(model).items():
        if name in trained:  # which frozen batch norm would keep fixed in a grown network
            variable.trainable = True
    return model


def _usable_from_nothing(config: ExperimentConfig) -> ExperimentConfig:
    """Without initial weights batch norm has no statistics to freeze: as an identity it lets a ResNet's loss run away."""
    model = config.model
    if model.weights or not model.frozen_batch_norm or get_preset(model.model).backbone == "vgg16":
        return config
    _log.info("no --weights: batch norm, which has no statistics to keep, is trained (--nofrozen_batch_norm)")
    return config.replace(frozen_batch_norm=False)


def _batches(config: ExperimentConfig, split: tuple, start: int, devices: Devices) -> tf.data.Dataset:
    """This worker's share of every step's crops."""
    data, solver = config.data, config.solver
    return sources.training(
        *split, crop_size=data.crop_size, batch_size=solver.batch_size * solver.iter_size, iter_size=solver.iter_size,
        scales=data.augment_scales, scale_range=data.augment_range, mirror=data.mirror, seed=solver.seed, start_step=start,
        shard_index=devices.worker, shard_count=devices.workers,
    )  # fmt: skip


def _recorder(config: ExperimentConfig, spec: DatasetSpec, workdir: pathlib.Path, saved: SavedState | None, chief: bool):
    return Recorder(
        workdir / "train.jsonl" if chief else None, spec.class_names, start=saved.step if saved else 0,
        steps=config.solver.steps, losses=saved.losses if saved else (),
        board=open_board(workdir / "tensorboard", spec.palette) if chief else None,
    )  # fmt: skip


def _pace(config: ExperimentConfig) -> Pace:
    record, steps = config.record, config.solver.steps
    collapse_after = record.collapse_after
    if 0 < collapse_after < 1:
        collapse_after = min(500, max(20, math.ceil(collapse_after * steps)))
    return Pace(steps, config.solver.iter_size, record.log_every, record.save_every, record.eval_every, int(collapse_after))


def _plan(config: ExperimentConfig, model: keras.Model, steps: int, devices: Devices) -> None:
    """Tells what the run will take, and refuses it where that is more than it may."""
    wanted = plan(
        model, crop_size=config.data.crop_size, batch_size=config.solver.batch_size, iter_size=config.solver.iter_size,
        steps=steps, recompute=config.devices.recompute, workers=devices.workers, replicas=devices.replicas,
        rate=measured_rate(config.model.precision), moments=OPTIMIZERS[config.solver.optimizer].moments,
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


def _judge(config: ExperimentConfig, model: keras.Model, spec: DatasetSpec, checkpoints: Checkpoints, chief: bool) -> Judge:
    """Evaluates the model as it is, on the first pictures of the evaluation split."""
    split, ignored = (spec, data_dir_of(config), config.data.eval_split), config.data.ignore_classes or ()
    sources.open_split(*split)  # what is missing is said now, not after the first thousand steps

    def evaluate(stop):
        with sources.errors(*split):
            examples = Examples(sources.evaluation(*split, limit=config.record.eval_images), stop)
            return confusion_of(model, spec, examples, tile=config.eval.tile, progress=chief).ignoring(ignored)

    settings = {"split": config.data.eval_split, "images": config.record.eval_images, "tile": config.eval.tile}
    return Judge(evaluate, checkpoints, settings, spec.class_names, keeps=chief)


def _optimizer(solver) -> CaffeSGD | AdamW:
    schedule = learning_rate(
        solver.policy, base=solver.base_learning_rate, steps=solver.steps, power=solver.power,
        step_size=solver.step_size, gamma=solver.gamma,
    )  # fmt: skip
    return OPTIMIZERS[solver.optimizer](schedule, solver.momentum, solver.weight_decay, solver.head_multiplier)


def _class_weights(kind: str, spec: DatasetSpec, data_dir: str, split: str) -> tuple[float, ...] | None:
    if kind == "none":
        return None
    power = {"sqrt_median_frequency": 0.5, "median_frequency": 1.0}[kind]
    weights = median_frequency_weights(sources.class_frequencies(spec, data_dir, split), power)
    _log.info("class weights: %s", ", ".join(f"{n} {w:.2f}" for n, w in zip(spec.class_names, weights, strict=True)))
    return tuple(map(float, weights))
