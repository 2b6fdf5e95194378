"""A network from a file: a whole Keras model, or weights for a row of the zoo."""

from __future__ import annotations

import logging
import os
import pathlib

import keras

from deeplab_tf.errors import UserError
from deeplab_tf.keras_objects import register
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.weights.loading import fill

_log = logging.getLogger(__name__)


def load_model(path: str | os.PathLike, *, model: str | None = None, num_classes: int | None = None, **options) -> keras.Model:
    """Loads a network of this package, or any Keras model with its layers, compiled where it was saved so.

    Args:
      path: a `.keras` file; or, with `model` and `num_classes`, a weights file of any format that `load_weights` reads, or
        the name of a weights record.
      model: name of the zoo whose weights the file holds.
      num_classes: channels of the logits.
      options: for a weights file, as `build_model` takes them.

    Returns:
      The model; a weights file must fill all of it.

    Raises:
      UserError: no such file, not what its name says, or one of another network.
    """
    if model is None and pathlib.Path(path).suffix == ".keras":
        return _load_keras(path)
    if model is None or num_classes is None:
        raise UserError(
            f"{path}: got no .keras file, expected one, or model= and num_classes= beside a weights file; give them."
        )
    network = build_model(model, num_classes, **options)
    way_out = "give the network that they were saved from, or load_weights(build_model(…), …) to train it further"
    report = fill(network, path, f"weights of {model} with {num_classes} classes", way_out)
    _log.info("%s", report.table())
    return network


def _load_keras(path: str | os.PathLike) -> keras.Model:
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file, expected a Keras model; correct the path.")
    register()
    try:
        return keras.saving.load_model(path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: is no Keras model that can be loaded ({reason[:300]}), expected what model.save wrote; save it again."
        ) from error
