"""`load_model`: a trained network from whatever holds one."""

from __future__ import annotations

import os

import keras

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.network import load_run
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.models import loading


def load_model(path: str | os.PathLike, *, model: str | None = None, num_classes: int | None = None, **options) -> keras.Model:
    """Loads a network of this package, or any Keras model with its layers.

    Args:
      path: the folder of a run, whose newest checkpoint is taken; a `.keras` file; or, with `model` and `num_classes`, a
        weights file of any format that `load_weights` reads, or the name of a weights record.
      model: name of the zoo whose weights the file holds.
      num_classes: channels of the logits.
      options: for a weights file, as `build_model` takes them.

    Returns:
      The model, a MultiScale where the run has several scales; a weights file must fill all of it.

    Raises:
      UserError: no such file or run, not what its name says, or one of another network.
    """
    if not os.path.isdir(path):
        return loading.load_model(path, model=model, num_classes=num_classes, **options)
    if model is not None or num_classes is not None or options:
        raise UserError(f"{path}: a run's folder knows its network, expected no settings beside it; leave them out.")
    return load_run(path, load_config(path)).model
