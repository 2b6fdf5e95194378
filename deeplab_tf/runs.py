"""What can be known of a run before TensorFlow is imported: its data, and what its folder says of it.

The doors check this first, so that a wrong path or name is answered at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

from deeplab_tf.config import ExperimentConfig
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import DatasetSpec, Label, folder_spec, get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.flags import to_flagfile

DEFAULT_MINIATURE_DIR = "data/miniature"


def dataset_of(config: ExperimentConfig) -> DatasetSpec:
    """The spec of the experiment's data set."""
    if config.data.labels:
        return folder_spec(config.data.labels)
    return get_dataset(config.data.dataset, data_dir_of(config))


def data_dir_of(config: ExperimentConfig) -> str:
    """The folder of the data set; the rendered scenes have one of their own.

    Raises:
      UserError: --data_dir is not set.
    """
    data = config.data
    if data.data_dir is None and data.dataset != "miniature":
        raise UserError(f"--data_dir is not set, expected the folder of {data.dataset}; data/README.md says what lies in it.")
    return data.data_dir or DEFAULT_MINIATURE_DIR


def check_split(config: ExperimentConfig, split: str) -> None:
    """Refuses a split with a missing file before TensorFlow is imported; records are checked when they are opened.

    Raises:
      UserError: what is missing, by name.
    """
    data_dir = data_dir_of(config)
    if "://" not in data_dir and not os.path.isfile(os.path.join(data_dir, "dataset_info.json")):
        list_samples(dataset_of(config), data_dir, split)


def check_workdir(workdir: str | os.PathLike) -> None:
    """Refuses a folder that cannot be made or written, before anything is computed for it.

    Raises:
      UserError: it cannot.
    """
    existing = pathlib.Path(workdir)
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"--workdir {workdir}: {existing} is not a folder; choose another one.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--workdir {workdir}: {existing} is not writable; choose another folder.")


def save_description(workdir: pathlib.Path, config: ExperimentConfig, spec: DatasetSpec) -> None:
    """Writes config.json, flags.txt and dataset.json, from which `experiment.load_run` builds the network again."""
    (workdir / "dataset.json").write_text(json.dumps(dataclasses.asdict(spec), indent=1) + "\n", encoding="utf-8")
    (workdir / "flags.txt").write_text(to_flagfile(config), encoding="utf-8")
    (workdir / "config.json").write_text(config.to_json(), encoding="utf-8")


def load_config(workdir: str | os.PathLike) -> ExperimentConfig:
    """The config of a run's folder.

    Raises:
      UserError: the folder holds no run.
    """
    path = pathlib.Path(workdir) / "config.json"
    try:
        return ExperimentConfig.from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"--workdir {workdir}: {path.name} cannot be read ({error.strerror}), expected the folder of a "
                        "trained run; train first or correct the path.") from error


def load_spec(workdir: str | os.PathLike) -> DatasetSpec:
    """The data set's label table as the run knew it; the pictures need not be there.

    Raises:
      UserError: dataset.json is missing or damaged.
    """
    path = pathlib.Path(workdir) / "dataset.json"
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        labels = tuple(Label(**_with_tuples(label)) for label in saved.pop("labels"))
        return DatasetSpec(labels=labels, **_with_tuples(saved))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected the label table of the run; train it again.") from error


def _with_tuples(values: dict) -> dict:
    """JSON lists back to the tuples that a frozen spec holds."""
    return {key: tuple(map(_tuple, value)) if isinstance(value, list) else value for key, value in values.items()}


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value
