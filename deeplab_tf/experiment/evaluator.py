"""The evaluation of a run's newest checkpoint. What `python -m deeplab_tf.eval` calls."""

from __future__ import annotations

import os
import pathlib

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.datasets import sources
from deeplab_tf.evaluation.evaluate import evaluate, evaluate_scores
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.network import crf_params_of, load_run
from deeplab_tf.experiment.run_folder import data_dir_of, load_spec, shared_pictures
from deeplab_tf.weights import records


def evaluate_run(
    config: ExperimentConfig, workdir: str | os.PathLike, *, save_scores: bool = False, cached_scores: bool = False
) -> dict:
    """Evaluates on `config.data.eval_split`; writes WORKDIR/eval/SPLIT/result.json and report.html.

    Args:
      config: the run's config, perhaps with other evaluation settings.
      workdir: folder of the run.
      save_scores: keep the probabilities below WORKDIR/eval/SPLIT/scores.
      cached_scores: run the CRF over the scores of an earlier evaluation, without the network.

    Returns:
      What result.json holds.
    """
    split, settings = config.data.eval_split, config.eval
    run = None if cached_scores else load_run(workdir, config)
    spec = load_spec(workdir) if run is None else run.spec
    where = (spec, data_dir_of(config), split)
    # One thread each: the worker pool runs pictures side by side.
    crf = DenseCRF(crf_params_of(config), threads=1) if settings.crf else None
    shared = {
        "out_dir": pathlib.Path(workdir) / "eval" / split,
        "crf": crf,
        "crf_workers": settings.crf_workers,
        "gallery": settings.gallery,
        "trimap": settings.trimap,
        "settings": {"split": split} | ({"checkpoint": run.checkpoint.name} if run else {}),
        "warnings": _contamination(config, split),
    }
    examples = sources.evaluation(*where, limit=settings.max_images)
    with sources.errors(*where):
        if cached_scores:
            return evaluate_scores(spec, examples, **shared)
        return evaluate(
            run.model, spec, examples, flip=settings.flip, tile=settings.tile, save_scores=save_scores, **shared
        )


def _contamination(config: ExperimentConfig, split: str) -> tuple[str, ...]:
    """Warns where the run or its initial weights were trained on the pictures that are now evaluated."""
    shared, data, weights = shared_pictures(config, split), config.data, config.model.weights
    said = ()
    if shared:
        said = (f"{split}: the run was trained on {shared:,} of these pictures ({data.train_split}), so the figures say little "
                "about others; evaluate on another split",)
    record = records.RECORDS.get(weights) or records.find_record(weights) if weights else None
    known = record and record.contains_val and data.dataset == "voc2012" and split == "val"
    return said + (record.warnings() if known else ())
