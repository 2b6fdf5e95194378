"""The label maps of a user's pictures by a trained network. What `python -m deeplab_tf.predict` calls."""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Collection, Sequence

from deeplab_tf import locks
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.crf_choice import with_crf_inside
from deeplab_tf.experiment.network import crf_of
from deeplab_tf.experiment.segmenters import load_segmenter
from deeplab_tf.inference import picture_files, predictions
from deeplab_tf.inference.label_files import LabelFiles
from deeplab_tf.whole_files import check_writable

_log = logging.getLogger(__name__)


def predict(
    config: ExperimentConfig,
    workdir: str | os.PathLike | None,
    named: Sequence[str],
    out_dir: str | os.PathLike,
    *,
    saved_model: str | os.PathLike | None = None,
    crf_given: Collection[str] = (),
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
      crf_given: settings of the CRF that are taken from the config where an exported network carries others; see
        `crf_choice.with_crf_inside`.
      recursive: look into the folders below a folder too.
      write: names among `label_files.OUTPUTS`.
      label_ids: write the data set's own ids instead of 0 to classes - 1.
      overwrite: replace results that are there.

    Raises:
      UserError: as loading the network and `predict_pictures` do.
    """
    pictures = picture_files.find_pictures(named, recursive)
    if saved_model and label_ids:
        raise UserError("--label_ids: an exported network knows its class ids only, expected a run or a weights file instead.")
    network = load_segmenter(config, workdir, saved_model)
    if saved_model:
        config, why = with_crf_inside(config, network.about, crf_given)
        _log.info("%s", why)
    ids = network.ids if label_ids else None
    if not label_ids and network.ids and list(network.ids) != list(range(len(network.ids))):
        masks = ", ".join(map(str, network.ids))
        _log.info("label files hold class ids, from 0, where the masks hold %s; --label_ids writes those", masks)
    files, out_dir = LabelFiles(network.class_names, network.palette, ids, write), pathlib.Path(out_dir)
    check_writable(out_dir, "--out")
    with locks.holding(out_dir, "predict"):
        return predictions.predict_pictures(
            network.segment, pictures, out_dir, files, label=network.label, crf=crf_of(config),
            crf_workers=config.eval.crf_workers, settings=network.origin, overwrite=overwrite,
        )  # fmt: skip
