"""Puts the network of an ExperimentConfig together, new or as a run left it.

The one place where the doors' library functions meet a config; everything below takes plain values.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import keras

from deeplab_tf.crf.params import CrfParams, get_preset, load_preset
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.run_folder import load_spec
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.checkpoints import checkpoint_of
from deeplab_tf.weights.loading import load_weights


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


def crf_params_of(config: ExperimentConfig) -> CrfParams:
    """The CRF's parameters: the preset, by name or file, where there is one."""
    preset = config.eval.crf_preset
    if not preset:
        return config.crf
    return load_preset(preset) if os.path.isfile(preset) else get_preset(preset)


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained run: what its folder says, and the network with the weights of one of its checkpoints."""

    config: ExperimentConfig
    spec: DatasetSpec
    model: keras.Model
    checkpoint: pathlib.Path


def load_run(workdir: str | os.PathLike, config: ExperimentConfig) -> Run:
    """Builds the network of a run with the weights of one of its checkpoints.

    Args:
      workdir: folder of the run.
      config: its config, perhaps with changed settings (`runs.load_config`).

    Raises:
      UserError: no run, no checkpoint, or one of another model.
    """
    workdir = pathlib.Path(workdir)
    checkpoint = checkpoint_of(workdir, config.eval.checkpoint)
    spec = load_spec(workdir)
    model = model_of(config, spec.num_classes)
    report = load_weights(model, checkpoint)
    if report.reinitialised:
        raise UserError(
            f"{checkpoint}: checkpoint of another model ({report.reinitialised[0]} does not fit), expected "
            f"{config.model.model} with {spec.num_classes} classes; give the settings the run was trained with."
        )
    return Run(config, spec, model, checkpoint)
