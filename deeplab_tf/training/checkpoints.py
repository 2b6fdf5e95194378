"""Checkpoints: one .npz file a checkpoint, written whole or not at all.

A file holds every weight under its canonical name (so `load_weights` reads it), dropout's random state, the solver's
state below `solver/`, and the step. zip keeps a checksum of every array, so damage is seen on reading.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import tokenize  # NumPy reads an array's header with it
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights.loading import canonical_variables
from deeplab_tf.weights.npz import write_arrays
from deeplab_tf.whole_files import make_folder

_log = logging.getLogger(__name__)
_STEP = "training/step"
_TRAINED = "training/variables"
_LOSSES = "training/losses"
_SCORE = "training/score"
_JUDGED_BY = "training/judged_by"
_DAMAGE = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, EOFError, OSError, ValueError, KeyError)


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

    def save(self, model, optimizer, step: int, losses: Sequence[float] = ()) -> pathlib.Path:
        """Writes the state after `step` steps, then removes what is older than the newest `keep`.

        `losses` are those of the last steps that no log line tells of yet: the next line is a mean over them too.

        Raises:
          UserError: the disk refuses; what was there stays as it was.
        """
        path = self._write(f"step-{step:08d}.npz", model, optimizer, step, losses)
        for old in self.paths()[self.keep :]:
            old.unlink()
        return path

    @property
    def best(self) -> pathlib.Path:
        """The checkpoint of the best evaluation so far, where there was one."""
        return self.folder / "best.npz"

    def save_best(self, model, optimizer, step: int, score: float, judged_by: str) -> pathlib.Path:
        """Writes the state after `step` steps as the best one, with its mean IoU and the settings of the evaluation.

        Raises:
          UserError: the disk refuses; what was there stays as it was.
        """
        about = {_SCORE: np.float64(score), _JUDGED_BY: np.array(judged_by)}
        return self._write(self.best.name, model, optimizer, step, about=about)

    def read_best(self) -> SavedState | None:
        """The best checkpoint; None where there is none or it is damaged, which is said."""
        if not self.best.exists():
            return None
        try:
            return _read(self.best)
        except _DAMAGE:
            _log.warning("%s is damaged: the next evaluation counts as the best", self.best)
            return None

    def _write(self, name: str, model, optimizer, step: int, losses: Sequence[float] = (), about=()) -> pathlib.Path:
        variables = state_variables(model) | _solver_variables(optimizer)
        arrays = {name: np.asarray(variable) for name, variable in variables.items()}
        trainable = {id(variable) for variable in model.trainable_variables}
        trained = [name for name, variable in variables.items() if id(variable) in trainable]
        path = self.folder / name
        about = {_STEP: np.int64(step), _TRAINED: np.array(trained), _LOSSES: np.array(losses, np.float64), **dict(about)}
        for unfinished in self.folder.glob(".*.partial"):  # left by a run that was killed while it wrote
            unfinished.unlink()
        make_folder(path.parent)
        write_arrays(path, arrays | about)
        return path

    def newest(self) -> SavedState | None:
        """The newest checkpoint that can be read, None where there is none at all.

        Raises:
          UserError: there are some, but all are damaged.
        """
        paths = self.paths()
        for path in paths:
            try:
                return _read(path)
            except _DAMAGE:
                _log.warning("%s is damaged: falling back to the checkpoint before it", path)
        if paths:
            raise UserError(f"{self.folder}: none of its {len(paths)} checkpoints can be read; delete them to start anew.")
        return None


@dataclasses.dataclass(frozen=True)
class SavedState:
    """What a checkpoint holds.

    Attributes:
      path: its file.
      step: steps done.
      trained: names of the variables that were trained.
      losses: of the last steps, which no log line tells of.
      arrays: name -> value of every variable of the model and the solver.
      score, judged_by: of the best one: its mean IoU, and by which settings of the evaluation.
    """

    path: pathlib.Path
    step: int
    trained: tuple[str, ...]
    losses: tuple[float, ...]
    arrays: dict[str, np.ndarray]
    score: float | None = None
    judged_by: str = ""

    def assign_to(self, model, optimizer) -> None:
        """Sets every variable, or none.

        Raises:
          UserError: the checkpoint is of another model.
        """
        targets, arrays = state_variables(model) | _solver_variables(optimizer), self.arrays
        wrong = sorted(
            name
            for name in targets.keys() | arrays.keys()
            if name not in arrays or name not in targets or arrays[name].shape != tuple(targets[name].shape)
        )
        if wrong:
            raise UserError(
                f"{self.path}: checkpoint of another model ({len(wrong)} of {len(targets)} variables differ, first "
                f"{wrong[0]}), expected one of {model.name}; give another --workdir."
            )
        for name, variable in targets.items():
            variable.assign(arrays[name])


def _read(path: pathlib.Path) -> SavedState:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = {name: arrays.pop(name).tolist() for name in (_STEP, _TRAINED, _LOSSES, _SCORE, _JUDGED_BY) if name in arrays}
    return SavedState(
        path, about[_STEP], tuple(about[_TRAINED]), tuple(about.get(_LOSSES, ())), arrays, about.get(_SCORE),
        about.get(_JUDGED_BY, ""),
    )  # fmt: skip


def _solver_variables(optimizer) -> dict[str, object]:
    return {f"solver/{i:04d}": variable for i, variable in enumerate(optimizer.variables)}


def checkpoint_of(folder: pathlib.Path, which: str = "newest") -> pathlib.Path:
    """The "newest" or the "best" checkpoint of a run's folder.

    Raises:
      UserError: there is none.
    """
    checkpoints = Checkpoints(pathlib.Path(folder) / "checkpoints")
    paths = checkpoints.paths()
    if not paths:
        raise UserError(f"{folder}: no checkpoint in its folder checkpoints, expected a trained run; train first.")
    if which == "best" and not checkpoints.best.exists():
        raise UserError(f"{checkpoints.best}: is not there, expected a run with --eval_every; take --checkpoint=newest.")
    return checkpoints.best if which == "best" else paths[0]
