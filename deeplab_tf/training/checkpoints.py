"""Checkpoints: one .npz file a checkpoint, written whole or not at all.

A file holds every weight under its canonical name (so `load_weights` reads it), dropout's random state, the solver's
state below `solver/`, and the step. zip keeps a checksum of every array, so damage is seen on reading.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import zipfile
import zlib

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights.loading import canonical_variables

_log = logging.getLogger(__name__)
_STEP = "training/step"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError)


def state_variables(model) -> dict[str, object]:
    """Name -> variable of all that training changes in a model: its weights and dropout's random state."""
    network = getattr(model, "network", model)
    seeds = {f"{layer.name}/seed": layer.seed_generator.state for layer in network.layers if hasattr(layer, "seed_generator")}
    return canonical_variables(network) | seeds


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run, `step-NNNNNNNN.npz` in one folder.

    Attributes:
      folder: where they lie; made on the first save.
      keep: how many of the newest to keep.
    """

    folder: pathlib.Path
    keep: int = 2

    def paths(self) -> list[pathlib.Path]:
        """Newest first."""
        return sorted(self.folder.glob("step-*.npz"), reverse=True)

    def save(self, model, optimizer, step: int) -> pathlib.Path:
        """Writes the state after `step` steps, then removes what is older than the newest `keep`.

        Raises:
          UserError: the disk refuses; what was there stays as it was.
        """
        arrays = {name: np.asarray(variable) for name, variable in state_variables(model).items()}
        arrays |= {f"solver/{i:04d}": np.asarray(variable) for i, variable in enumerate(optimizer.variables)}
        path = self.folder / f"step-{step:08d}.npz"
        write_npz(path, arrays | {_STEP: np.int64(step)})
        for old in self.paths()[self.keep :]:
            old.unlink()
        return path

    def restore(self, model, optimizer) -> int:
        """Restores the newest checkpoint that can be read; returns its step, 0 where there is none.

        Raises:
          UserError: the newest readable one is of another model, or all are damaged.
        """
        paths = self.paths()
        for path in paths:
            try:
                with np.load(path) as file:
                    arrays = {name: file[name] for name in file.files}
                step = int(arrays.pop(_STEP))
            except _DAMAGE as error:
                _log.warning("%s is damaged (%s): falling back to the checkpoint before it", path, error)
                continue
            _assign(path, arrays, model, optimizer)
            return step
        if paths:
            raise UserError(f"{self.folder}: none of its {len(paths)} checkpoints can be read; delete them to start anew.")
        return 0


def latest(folder: pathlib.Path) -> pathlib.Path:
    """The newest checkpoint of a run's folder.

    Raises:
      UserError: there is none.
    """
    paths = Checkpoints(pathlib.Path(folder) / "checkpoints").paths()
    if not paths:
        raise UserError(f"{folder}: no checkpoint in its folder checkpoints, expected a trained run; train first.")
    return paths[0]


def write_npz(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes beside the target, flushes to the disk, then renames: the target is whole or untouched.

    Raises:
      UserError: the disk refuses.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror}); free the disk or choose another folder.") from error


def _assign(path, arrays, model, optimizer) -> None:
    targets = state_variables(model) | {f"solver/{i:04d}": v for i, v in enumerate(optimizer.variables)}
    wrong = sorted(
        name for name in targets.keys() | arrays.keys()
        if name not in arrays or name not in targets or arrays[name].shape != tuple(targets[name].shape)
    )
    if wrong:
        raise UserError(
            f"{path}: checkpoint of another model ({len(wrong)} of {len(targets)} variables differ, first {wrong[0]}), "
            f"expected one of {model.name}; give another --workdir."
        )
    for name, variable in targets.items():
        variable.assign(arrays[name])
