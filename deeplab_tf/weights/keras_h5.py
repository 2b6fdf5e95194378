"""Keras Applications' `.h5` files (VGG16, ResNet50, ResNet101) and others that Keras 1 and 2 wrote."""

import pathlib
import re

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.published import BATCH_NORM_EPSILON
from deeplab_tf.weights import batch_norm
from deeplab_tf.weights.keras_names import canonical_tensors, source_epsilon
from deeplab_tf.weights.source import SourceWeights

_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}


def read_keras_h5(path: pathlib.Path) -> SourceWeights:
    """Reads a legacy Keras weights file: `layer_names`, and per layer `weight_names`, as HDF5 attributes.

    Convolution biases go into the batch norm means and the epsilon (1.001e-5 of Keras Applications) into the
    variances.

    Raises:
        UserError: the file is no HDF5 file or no weights file of that layout.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file["model_weights"] if "model_weights" in file else file
            arrays = {name: array for layer in _names(root, "layer_names") for name, array in _layer(root[layer], layer)}
    except (OSError, KeyError) as error:
        raise UserError(
            f"{path}: expected weights that Keras 1 or 2 saved (HDF5 with layer_names), got a file that"
            f" cannot be read so ({error}); Keras 3 weights end in .weights.h5"
        ) from error
    epsilon = source_epsilon(arrays)
    tensors = batch_norm.absorb(canonical_tensors(arrays), epsilon)
    notes = (f"batch norm epsilon {epsilon:g} absorbed into the variances",) if epsilon != BATCH_NORM_EPSILON else ()
    return SourceWeights(tensors, notes=notes)


def _names(group, attribute: str) -> list[str]:
    """A list attribute; Keras splits one above 64 kB into `layer_names0`, `layer_names1`, ..."""
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        chunks = []
        while f"{attribute}{len(chunks)}" in group.attrs:
            chunks.append(group.attrs[f"{attribute}{len(chunks)}"])
        if not chunks:
            raise KeyError(attribute)
    return [name.decode() if isinstance(name, bytes) else str(name) for chunk in chunks for name in chunk]


def _layer(group, layer: str):
    """(`LAYER/VARIABLE`, array) pairs of a layer's group."""
    for name in _names(group, "weight_names"):
        variable = re.sub(r"(_\d+)?(:\d+)?$", "", name.rsplit("/", 1)[-1])  # Keras 1: block1_conv1_W_1:0
        variable = variable.removeprefix(f"{layer}_")
        yield f"{layer}/{_KERAS_1.get(variable, variable)}", np.asarray(group[name])
