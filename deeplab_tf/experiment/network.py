"""Puts the network of an ExperimentConfig together: new, as a run left it, or from a weights file."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF, engine_missing
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.crf_choice import crf_params_of
from deeplab_tf.experiment.run_folder import dataset_of, load_spec
from deeplab_tf.inference.segment import segment, segment_labels
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.checkpoints import checkpoint_of
from deeplab_tf.weights import records
from deeplab_tf.weights.loading import fill

_log = logging.getLogger(__name__)


def model_of(config: ExperimentConfig, num_classes: int) -> keras.Model:
    """The network of the experiment with random weights; a MultiScale where it has other scales than 1."""
    settings = config.model
    network = build_model(
        settings.model, num_classes, atrous_method=settings.atrous_method, output_stride=settings.output_stride,
        head_rates=settings.head_rates, width=settings.width, precision=settings.precision,
        frozen_batch_norm=settings.frozen_batch_norm, dilated_pools=settings.dilated_pools,
        v1_average_pool=settings.v1_average_pool, seed=config.solver.seed,
    )  # fmt: skip
    return MultiScale(network, settings.scales) if settings.scales != (1.0,) else network


def crf_of(config: ExperimentConfig) -> DenseCRF | None:
    """The CRF behind the network, None where the config has none; one thread, since pictures run side by side.

    Says in the log where NumPy serves in the engine's place.
    """
    if not config.eval.crf:
        return None
    if missing := engine_missing():
        _log.warning("%s", missing)
    return DenseCRF(crf_params_of(config), threads=1)


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, whatever it came from.

    Attributes:
      config: its settings, and those of what is to be done with it.
      spec: its label table.
      model: with the weights in it; a MultiScale where it has other scales than 1.
      source: the file of the weights: a run's checkpoint or what the user named.
      warnings: what is known of its training that a reader of its figures must know, one sentence each.
    """

    config: ExperimentConfig
    spec: DatasetSpec
    model: keras.Model
    source: pathlib.Path
    warnings: tuple[str, ...] = ()

    @property
    def segment(self) -> Callable[[np.ndarray], np.ndarray]:
        """uint8 [height, width, 3] RGB -> float32 [height, width, K], as the config's scales, flip and tile say."""
        return functools.partial(segment, self.judged, **self.how)

    @property
    def label(self) -> Callable[[np.ndarray], np.ndarray]:
        """uint8 [height, width, 3] RGB -> class ids [height, width]; keeps no probabilities of a large picture."""
        return functools.partial(segment_labels, self.judged, **self.how)

    @property
    def judged(self) -> keras.Model:
        """The model that pictures go through: without its own scales where the config gives others."""
        return getattr(self.model, "network", self.model) if self.config.eval.eval_scales else self.model

    @property
    def how(self) -> dict:
        """How they go through it, as `segment` takes it."""
        judged = self.config.eval
        return {
            "scales": judged.eval_scales or (1.0,), "fusion": judged.fusion, "flip": judged.flip, "tile": judged.tile,
            "memory_limit": self.config.devices.memory_limit,
        }  # fmt: skip


def load_trained(config: ExperimentConfig, workdir: str | os.PathLike | None = None) -> TrainedNetwork:
    """The trained network of a run (`workdir`, with the checkpoint that the config names) or of `config.model.weights`.

    Raises:
      UserError: no run or checkpoint, no such file, or one of another network or number of classes.
    """
    return _of_weights(config) if workdir is None else load_run(workdir, config)


def load_run(workdir: str | os.PathLike, config: ExperimentConfig) -> TrainedNetwork:
    """Builds the network of a run with the weights of one of its checkpoints.

    Args:
      workdir: folder of the run.
      config: its config, perhaps with changed settings (`run_folder.load_config`).

    Raises:
      UserError: no run, no checkpoint, or one of another model.
    """
    workdir = pathlib.Path(workdir)
    checkpoint = checkpoint_of(workdir, config.eval.checkpoint)
    spec = load_spec(workdir)
    model = _loaded(config, spec, checkpoint, "give the settings the run was trained with")
    return TrainedNetwork(config, spec, model, checkpoint)


def _of_weights(config: ExperimentConfig) -> TrainedNetwork:
    weights, spec = config.model.weights, dataset_of(config)
    way_out = "give the --model, --dataset (or --labels), --width and --head_rates that the file was trained with"
    model = _loaded(config, spec, weights, way_out)
    record, file = records.resolve(weights, "vgg" if config.model.model.startswith("vgg") else "resnet")
    return TrainedNetwork(config, spec, model, pathlib.Path(file), record.warnings() if record else ())


def _loaded(config: ExperimentConfig, spec: DatasetSpec, weights, way_out: str) -> keras.Model:
    """The config's network with `weights` in all of it."""
    model = model_of(config, spec.num_classes)
    fill(model, weights, f"{config.model.model} with {spec.num_classes} classes ({spec.name})", way_out)
    return model
