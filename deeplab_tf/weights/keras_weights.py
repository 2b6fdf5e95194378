"""This package's own models as Keras 3 writes them: `model.save_weights("NAME.weights.h5")`, `model.save("NAME.keras")`."""

import io
import pathlib
import zipfile
import zlib

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights.source import SourceWeights

_CONVOLUTION = ("kernel", "bias")
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read_keras_weights(path: pathlib.Path) -> SourceWeights:
    """Reads a `.weights.h5` or a `.keras` file of a zoo model, which may stand inside a `MultiScale`.

    The format numbers a layer's variables; which they are follows from the layer's name (`bn...` is batch
    norm).

    Raises:
        UserError: the file is neither, is damaged, or holds no layers in Keras 3's layout.
    """
    import h5py

    tensors: dict[str, np.ndarray] = {}

    def visit(_, group):
        if not isinstance(group, h5py.Group) or "name" not in group.attrs:
            return
        layer = group.attrs["name"]
        layer = layer.decode() if isinstance(layer, bytes) else layer
        variables = _BATCH_NORM if layer.startswith("bn") else _CONVOLUTION
        for index, variable in enumerate(variables):
            if str(index) in group and layer.startswith(("conv", "res", "bn", "fc")):
                tensors[f"{layer}/{variable}"] = np.asarray(group[str(index)])

    try:
        with h5py.File(_weights_of(path), "r") as file:
            file.visititems(visit)
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: expected Keras weights (.weights.h5 or .keras), got a file that cannot be read ({error}); fetch it again"
        ) from error
    if not tensors:
        raise UserError(
            f"{path}: expected the weights of a model of this package in Keras 3's layout, found no layer"
            " of one; a Keras Applications file ends in .h5 alone"
        )
    return SourceWeights(tensors)


def _weights_of(path: pathlib.Path) -> pathlib.Path | io.BytesIO:
    if path.suffix != ".keras":
        return path
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read("model.weights.h5"))
