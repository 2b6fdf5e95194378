"""Which pictures a search of the CRF's parameters takes, and what it may replace. Light: asked before TensorFlow loads."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from deeplab_tf.datasets.samples import Sample, list_samples
from deeplab_tf.datasets.specs import DatasetSpec, get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.label_agreement import spec_for_masks
from deeplab_tf.experiment.run_folder import data_dir_of, dataset_of, load_config, load_spec
from deeplab_tf.whole_files import check_writable

RESULTS = ("preset.json", "settings.csv", "heat_map.png")


@dataclasses.dataclass(frozen=True)
class SearchData:
    """The label table to read masks by, the pictures with masks, and the run's config where there is a run."""

    spec: DatasetSpec
    samples: Sequence[Sample]
    config: ExperimentConfig | None = None


def of_run(workdir: str | os.PathLike, data_dir: str | None, split: str | None) -> SearchData:
    """The pictures that the run is evaluated on, or those of another folder or split.

    Raises:
      UserError: no run, no such data, or a label table that is not the run's.
    """
    changed = {"data_dir": data_dir, "eval_split": split}
    config = load_config(workdir).replace(**{name: value for name, value in changed.items() if value})
    spec = spec_for_masks(load_spec(workdir), dataset_of(config))
    return SearchData(spec, list_samples(spec, data_dir_of(config), config.data.eval_split), config)


def of_scores(dataset: str, data_dir: str, split: str, folder: str | os.PathLike) -> SearchData:
    """The pictures of a split whose score maps lie in `folder`.

    Raises:
      UserError: no such data, or none of its score maps.
    """
    spec = get_dataset(dataset, data_dir)
    samples = [one for one in list_samples(spec, data_dir, split) if (pathlib.Path(folder) / f"{one.id}.npz").exists()]
    if not samples:
        raise UserError(
            f"--scores_dir={folder}: got no score map of a picture of {dataset} {split}, expected ID.npz as eval "
            "--save_scores writes them."
        )
    return SearchData(spec, samples)


def check_results(out: str | os.PathLike, overwrite: bool) -> None:
    """Refuses to replace the results of a search that is done; UserError names them."""
    check_writable(out)
    present = [name for name in RESULTS if (pathlib.Path(out) / name).exists()]
    if present and not overwrite:
        raise UserError(f"--out={out}: got {', '.join(present)} there already; name another folder or --overwrite.")
