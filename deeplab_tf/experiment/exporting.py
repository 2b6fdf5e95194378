"""A SavedModel of a trained network. What `python -m deeplab_tf.export` calls."""

from __future__ import annotations

import os

from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.network import load_trained
from deeplab_tf.serving.saved_model import check_target, export_saved_model


def export(
    config: ExperimentConfig, workdir: str | os.PathLike | None, out: str | os.PathLike, *, overwrite: bool = False
) -> dict[str, float]:
    """Writes the SavedModel of the run in `workdir`, or of the config's weights file, to `out`.

    Returns:
      The largest differences to `segment` that were found when it was loaded again.

    Raises:
      UserError: `out` is there already, or the network cannot be loaded.
    """
    check_target(out, overwrite)
    trained = load_trained(config, workdir)
    return export_saved_model(
        trained.model, out, flip=config.eval.flip, class_names=trained.spec.class_names, palette=trained.spec.palette,
        metadata={"checkpoint": trained.source.name, "model": config.model.model}, overwrite=overwrite,
    )  # fmt: skip
