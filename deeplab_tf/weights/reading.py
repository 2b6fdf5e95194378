"""One reader per file format, chosen by the file's name."""

import os
import pathlib

from deeplab_tf.errors import UserError
from deeplab_tf.weights.caffe import read_caffemodel
from deeplab_tf.weights.keras_h5 import read_keras_h5
from deeplab_tf.weights.keras_weights import read_keras_weights
from deeplab_tf.weights.npz import read_npz
from deeplab_tf.weights.pytorch import read_pytorch
from deeplab_tf.weights.records import RECORDS
from deeplab_tf.weights.source import SourceWeights
from deeplab_tf.weights.tf1 import read_tf1_checkpoint

READERS = {
    ".caffemodel": read_caffemodel,
    ".npz": read_npz,
    ".weights.h5": read_keras_weights,
    ".keras": read_keras_weights,
    ".h5": read_keras_h5,  # Keras Applications; after .weights.h5, which ends so too
    ".pth": read_pytorch,
    ".pt": read_pytorch,
}


def check_source(source: str | pathlib.Path) -> None:
    """Refuses a source that is neither a file, nor a checkpoint, nor a record's name, before TensorFlow is imported.

    Raises:
        UserError: there is no such file, or it may not be read.
    """
    path = pathlib.Path(source)
    if str(source) not in RECORDS and not os.path.isfile(path) and not os.path.isfile(f"{path}.index"):
        raise UserError(
            f"{path}: expected a weights file or the name of a weights record ({', '.join(RECORDS)}),"
            " found no such file; check the path"
        )
    if os.path.isfile(path) and not os.access(path, os.R_OK):
        raise UserError(f"{path}: expected a readable file, got no permission to read it; change its permissions")


def needs_tensorflow(source: str | pathlib.Path) -> bool:
    """Whether reading it imports TensorFlow: for its own checkpoints, and for a record, which Keras fetches."""
    return str(source) in RECORDS or _is_tf1_checkpoint(pathlib.Path(source))


def read_weights(path: str | pathlib.Path) -> SourceWeights:
    """Reads a weights file into canonical tensors.

    Args:
        path: the file; of a TF-1 checkpoint its prefix or its `.index` file.

    Raises:
        UserError: no such file, an unknown format, or a file that does not hold what its name says.
    """
    path = pathlib.Path(path)
    check_source(path)
    if _is_tf1_checkpoint(path):
        return read_tf1_checkpoint(path)
    for suffix, read in READERS.items():
        if path.name.endswith(suffix):
            return read(path)
    raise UserError(
        f"{path}: expected a TF-1 checkpoint or one of {', '.join(READERS)}, got another suffix; convert or rename it"
    )


def _is_tf1_checkpoint(path: pathlib.Path) -> bool:
    return path.suffix == ".index" or os.path.isfile(f"{path}.index") or ".ckpt" in path.name
