"""A trained network as an artefact. What `python -m deeplab_tf.export` calls."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing
from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets import sources
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.side_by_side import SideBySide, side_by_side
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.crf_choice import crf_params_of
from deeplab_tf.experiment.network import TrainedNetwork, load_trained
from deeplab_tf.experiment.run_folder import check_split, data_dir_of
from deeplab_tf.inference.picture_files import find_pictures, read_upright
from deeplab_tf.inference.saved_model import SavedNetwork, load_saved_model
from deeplab_tf.serving.exporting import check_target, export_model
from deeplab_tf.serving.formats import check_format

CALIBRATION = 64  # pictures; more moved nothing
JUDGED = 100  # pictures of the eval split, unless the config says how many


class Exported(typing.NamedTuple):
    """What came of it.

    Attributes:
      differences: largest ones to `segment`.
      judged: the mean IoU of the network and of the artefact; None in float32, which changes no label, and without masks.
    """

    differences: dict[str, float]
    judged: SideBySide | None


def export(
    config: ExperimentConfig,
    workdir: str | os.PathLike | None,
    out: str | os.PathLike,
    *,
    format: str = "saved_model",
    precision: str | None = None,
    calibration: Sequence[str] = (),
    overwrite: bool = False,
) -> Exported:
    """Writes the network of the run in `workdir`, or of the config's weights file, to `out`.

    Args:
      config: of the trained network; its precision is what a SavedModel computes in.
      workdir: folder of the run, None for a weights file.
      out: a folder or a file, as the format asks.
      format, precision: see `serving.formats`.
      calibration: for int8: files, folders, patterns or lists of pictures.
      overwrite: replace an artefact of this format.

    Raises:
      UserError: as `export_model`, or the network cannot be loaded.
    """
    check_target(out, check_format(format, precision, len(calibration) > 0, pathlib.Path(out)), overwrite)
    named = find_pictures(calibration) if calibration else []
    if format != "saved_model":
        config = config.replace(precision="float32")
    trained = load_trained(config, workdir)
    judged = config.eval
    try:
        differences = export_model(
            trained.judged, out, format=format, precision=precision, scales=judged.eval_scales or (1.0,), flip=judged.flip,
            fusion=judged.fusion, tile=judged.tile, calibration=_spread(named), class_names=trained.spec.class_names,
            palette=trained.spec.palette, metadata=_metadata(trained, workdir), overwrite=overwrite,
        )  # fmt: skip
    except RuntimeError as error:
        raise UserError(f"{out}: {error}") from error
    if format == "saved_model" or precision in (None, "float32"):
        return Exported(differences, None)
    return Exported(differences, _mean_iou(config, trained, load_saved_model(out)))


def _spread(named: Sequence) -> list[np.ndarray]:
    """Some of the pictures, from first to last."""
    chosen = np.unique(np.linspace(0, len(named) - 1, min(len(named), CALIBRATION)).astype(int)) if named else ()
    return [read_upright(named[i].path) for i in chosen]


def _metadata(trained: TrainedNetwork, workdir) -> dict:
    """Where the network comes from and what belongs behind it."""
    config = trained.config
    crf = dataclasses.asdict(crf_params_of(config))
    return {
        "checkpoint": trained.source.name,
        "model": config.model.model,
        "dataset": trained.spec.name,
        "train_split": config.data.train_split if workdir else None,
        "warnings": list(trained.warnings),
        "crf": crf if config.eval.crf else None,
        "crf_params": crf,
        "config": config.to_flagfile().splitlines(),
    }


def _mean_iou(config: ExperimentConfig, trained: TrainedNetwork, artefact: SavedNetwork) -> SideBySide | None:
    """Of the network and of the artefact on the eval split; None where it has no masks."""
    split, spec = config.data.eval_split, trained.spec
    try:
        check_split(config, split)
    except UserError:
        return None
    where = (spec, data_dir_of(config), split)
    with sources.errors(*where):
        examples = sources.evaluation(*where, limit=config.eval.max_images or JUDGED)
        both = (trained.label, lambda image: artefact.segment(image).argmax(axis=-1))
        return side_by_side(both, examples, spec.num_classes, spec.ignore_label, config.data.ignore_classes or ())
