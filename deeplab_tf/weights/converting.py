"""Any weights file to `.npz` or `.weights.h5`."""

import os
import pathlib
import tempfile

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights import records
from deeplab_tf.weights.loading import canonical_variables, load_weights
from deeplab_tf.weights.npz import write_npz
from deeplab_tf.weights.reading import read_weights
from deeplab_tf.weights.report import LoadReport
from deeplab_tf.whole_files import check_writable, replacing

SUFFIXES = (".npz", ".weights.h5")
_HDF5_EXTRA = 4_000_000  # bytes: above what HDF5 adds to the largest network of the zoo


def check_target(target: str | pathlib.Path, has_model: bool, overwrite: bool) -> None:
    """Refuses what `convert_weights` cannot write, before anything is read.

    Raises:
        UserError: an unknown suffix, a missing or read-only folder, a file that is in the way, or `.weights.h5`
            without a model.
    """
    target = pathlib.Path(target)
    if not target.name.endswith(SUFFIXES):
        raise UserError(f"{target}: expected an output ending in {' or '.join(SUFFIXES)}; give one of them")
    if not os.path.isdir(target.parent):
        raise UserError(f"{target}: expected an existing folder {target.parent}, found none; create it")
    check_writable(target.parent)
    if target.is_dir():
        raise UserError(f"{target}: expected the name of a file, got a folder; give another name")
    if target.exists() and not overwrite:
        raise UserError(f"{target}: the file exists; give another name or --overwrite")
    if target.name.endswith(".weights.h5") and not has_model:
        raise UserError(f"{target}: .weights.h5 holds the weights of a model, got none; give --model or write .npz")


def convert_weights(
    source: str | pathlib.Path, target: str | pathlib.Path, *, model=None, overwrite: bool = False, seed: int = 0
) -> LoadReport:
    """Converts a weights file; the target appears whole or not at all.

    Args:
        source: a file of any format that `load_weights` reads, or the name of a weights record.
        target: a path ending in `.npz` or `.weights.h5`.
        model: a zoo model to load the weights into; its variables are written then, with a fresh head where
            the file has none that fits. Without it, `.npz` takes all that the file holds.
        overwrite: replace an existing target.
        seed: as in `load_weights`.

    Returns:
        What was loaded; without a model, `loaded` is what was written.

    Raises:
        UserError: as `check_target` and `load_weights`, or the disk is full.
    """
    target = pathlib.Path(target)
    check_target(target, model is not None, overwrite)
    if model is None:
        _, file = records.resolve(source)
        content = read_weights(file)
        tensors = dict(content.tensors)
        report = LoadReport(loaded=tuple(tensors), skipped=content.skipped, reinitialised=(), notes=content.notes)
    else:
        report = load_weights(model, source, seed=seed)
        tensors = {name: np.asarray(variable) for name, variable in canonical_variables(model).items()}
    if target.suffix == ".npz":
        write_npz(target, tensors)
    else:
        with replacing(target) as partial:
            _save_weights(model, partial)
    return report


def _save_weights(model, path: pathlib.Path) -> None:
    """Writes `.weights.h5`, the only ending that Keras allows, under another name."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".convert_") as folder:
        named = pathlib.Path(folder) / "model.weights.h5"
        # HDF5 takes the whole process down where the disk fills up under it, so the room is asked for first.
        named.write_bytes(bytes(sum(variable.value.numpy().nbytes for variable in model.variables) + _HDF5_EXTRA))
        model.save_weights(named)
        os.replace(named, path)
