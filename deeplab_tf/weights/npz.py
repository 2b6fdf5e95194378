"""NumPy archives: `LAYER/VARIABLE` to array, under canonical or Keras Applications names, any float type."""

import os
import pathlib
import tokenize  # NumPy reads an array's header with it
import zipfile
import zlib

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.published import BATCH_NORM_EPSILON
from deeplab_tf.weights import batch_norm
from deeplab_tf.weights.keras_names import canonical_tensors, source_epsilon
from deeplab_tf.weights.source import SourceWeights
from deeplab_tf.whole_files import replacing

EPSILON_KEY = "batch_norm_epsilon"  # scalar that `deeplab_tf.convert` writes, so that a file explains itself

_OF_A_RUN = ("training/", "solver/")  # what a checkpoint holds beside weights and dropout's integer seeds


def read_npz(path: pathlib.Path) -> SourceWeights:
    """Reads an `.npz` file, which may be the checkpoint of a run: what is no weight is skipped.

    The epsilon of the source's batch norm is the file's `batch_norm_epsilon` where it has one; otherwise it
    is taken from whose names the file uses (see `source_epsilon`), and a note says so.

    Raises:
        UserError: the file is no NumPy archive or is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError) as error:
        raise UserError(
            f"{path}: expected a NumPy archive (.npz), got a damaged file; fetch it again or, if it is the checkpoint of a"
            " run, remove it, so that the one before it serves"
        ) from error
    declared = arrays.pop(EPSILON_KEY, None)
    skipped = tuple(name for name, value in arrays.items() if name.startswith(_OF_A_RUN) or value.dtype.kind != "f")
    for name in skipped:
        del arrays[name]
    epsilon = source_epsilon(arrays) if declared is None else float(declared)
    tensors = batch_norm.absorb(canonical_tensors(arrays), epsilon)
    notes = ()
    if epsilon != BATCH_NORM_EPSILON and any(name.endswith("/moving_variance") for name in tensors):
        notes = (f"batch norm epsilon of the file taken as {epsilon:g} and absorbed into the variances",)
    return SourceWeights(tensors, skipped, notes)


def write_npz(path: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes canonical tensors as float32, with the epsilon their statistics are meant for; see `write_arrays`."""
    arrays = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    write_arrays(path, {EPSILON_KEY: np.float64(BATCH_NORM_EPSILON)} | arrays)


def write_arrays(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes beside the target, flushes to the disk, then renames: the target is whole or untouched.

    Raises:
      UserError: the disk refuses.
    """
    with replacing(path) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
