"""The label maps of a user's pictures by a trained network. What `python -m deeplab_tf.predict` calls."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from deeplab_tf import locks
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.network import TrainedNetwork, crf_of, load_trained
from deeplab_tf.inference import picture_files, predictions
from deeplab_tf.inference.digest import network_digest, path_digest
from deeplab_tf.inference.label_files import LabelFiles
from deeplab_tf.inference.saved_model import SavedNetwork, load_saved_model
from deeplab_tf.whole_files import check_writable


def predict(
    config: ExperimentConfig,
    workdir: str | os.PathLike | None,
    named: Sequence[str],
    out_dir: str | os.PathLike,
    *,
    saved_model: str | os.PathLike | None = None,
    own_crf: bool = False,
    recursive: bool = False,
    write: Sequence[str] = ("palette", "overlay"),
    label_ids: bool = False,
    overwrite: bool = False,
) -> predictions.Outcome:
    """Label files of the pictures that `named` names (`find_pictures`), in `out_dir`.

    Args:
      config: of the trained network (`flags.config_of_trained`); where there is an exported network, only the CRF's settings
        count.
      workdir: folder of the run, None for a weights file or an exported network.
      named: files, folders, patterns, lists.
      out_dir: see `predictions.predict_pictures`.
      saved_model: an exported network, of any format, that takes the network's place.
      own_crf: take the CRF that the exported network was told to have behind it, in place of the config's.
      recursive: look into the folders below a folder too.
      write: names among `label_files.OUTPUTS`.
      label_ids: write the data set's own ids instead of 0 to classes - 1.
      overwrite: replace results that are there.

    Raises:
      UserError: as loading the network and `predict_pictures` do.
    """
    pictures = picture_files.find_pictures(named, recursive)
    if saved_model:
        if label_ids:
            raise UserError("--label_ids: an exported network knows its class ids only, expected a run or a weights file "
                            "instead.")
        network = load_saved_model(saved_model)
        names, palette, ids, label = network.class_names, network.palette, None, None
        origin = {"saved_model": path_digest(network.path)}
        if own_crf:
            config = _with_crf_of(config, network)
    else:
        network = load_trained(config, workdir)
        names, palette, label = network.spec.class_names, network.spec.palette, network.label
        ids = network.spec.ids if label_ids else None
        origin = _origin(network)
    files, out_dir = LabelFiles(names, palette, ids, write), pathlib.Path(out_dir)
    check_writable(out_dir, "--out")
    with locks.holding(out_dir, "predict"):
        return predictions.predict_pictures(
            network.segment, pictures, out_dir, files, label=label, crf=crf_of(config), crf_workers=config.eval.crf_workers,
            settings=origin, overwrite=overwrite,
        )  # fmt: skip


def _with_crf_of(config: ExperimentConfig, network: SavedNetwork) -> ExperimentConfig:
    metadata = network.about.get("metadata", {})
    if "crf" not in metadata:  # exported by hand, or long ago
        return config
    if metadata["crf"] is None:
        return config.replace(crf=False)
    return config.replace(**{f"crf_{name}": value for name, value in metadata["crf"].items()})


def _origin(network: TrainedNetwork) -> dict:
    """What the probabilities depend on beside the picture."""
    model, judged = network.config.model, network.config.eval
    return {
        "network": network_digest(network.model), "scales": list(judged.eval_scales or model.scales), "fusion": judged.fusion,
        "precision": model.precision, "flip": judged.flip, "tile": judged.tile,
    }  # fmt: skip
