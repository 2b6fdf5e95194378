"""What can be known of a run before TensorFlow is imported: its data, and what its folder says of it.

The doors check this first, so that a wrong path or name is answered at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

from deeplab_tf.datasets.samples import is_records, list_samples
from deeplab_tf.datasets.specs import RENDERED, DatasetSpec, Label, folder_spec, get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.whole_files import replacing


def dataset_of(config: ExperimentConfig) -> DatasetSpec:
    """The spec of the experiment's data set."""
    data = config.data
    if data.labels:
        return folder_spec(data.labels)
    return get_dataset(data.dataset, data_dir_of(config) if data.dataset == "folder" else None)


def data_dir_of(config: ExperimentConfig) -> str:
    """The folder of the data set; the rendered scenes have one of their own.

    Raises:
      UserError: --data_dir is not set.
    """
    data = config.data
    if data.data_dir is None and data.dataset not in RENDERED:
        whose = "your pictures" if data.dataset == "folder" else data.dataset
        raise UserError(f"--data_dir is not set, expected the folder of {whose}; data/README.md says what lies in it.")
    return data.data_dir or f"data/{data.dataset}"


def check_split(config: ExperimentConfig, split: str) -> None:
    """Refuses a split with a missing file before TensorFlow is imported; records are checked when they are opened.

    Raises:
      UserError: what is missing, by name.
    """
    data_dir = data_dir_of(config)
    if not is_records(data_dir):
        list_samples(dataset_of(config), data_dir, split)


def shared_pictures(config: ExperimentConfig, split: str) -> int:
    """How many pictures of `split` the run trains on; of records, whose ids are not read here, 0 or at least 1 by name."""
    data_dir, train_split = data_dir_of(config), config.data.train_split
    if is_records(data_dir):
        trained = set(train_split.split("+"))
        return sum(part in trained or any(name.startswith(f"train{part}") for name in trained) for part in split.split("+"))
    spec = dataset_of(config)
    try:
        trained = {os.path.realpath(sample.image) for sample in list_samples(spec, data_dir, train_split)}
    except UserError:  # an evaluation needs no training pictures
        return 0
    return sum(os.path.realpath(sample.image) in trained for sample in list_samples(spec, data_dir, split))


def save_description(workdir: pathlib.Path, config: ExperimentConfig, spec: DatasetSpec) -> None:
    """Writes config.json, flags.txt and dataset.json, from which `experiment.load_run` builds the network again."""
    label_table = json.dumps(dataclasses.asdict(spec), indent=1) + "\n"
    files = {"dataset.json": label_table, "flags.txt": config.to_flagfile(), "config.json": config.to_json()}
    for name, text in files.items():
        with replacing(workdir / name) as partial:
            partial.write_text(text, encoding="utf-8")


def load_config(workdir: str | os.PathLike) -> ExperimentConfig:
    """The config of a run's folder.

    Raises:
      UserError: the folder holds no run.
    """
    path = pathlib.Path(workdir) / "config.json"
    try:
        return ExperimentConfig.from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(
            f"{workdir}: {path.name} cannot be read ({error.strerror}), expected the folder of a "
            "trained run; train first or correct the path."
        ) from error


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
