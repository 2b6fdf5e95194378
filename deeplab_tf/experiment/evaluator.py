"""The evaluation of a run's checkpoint or of a weights file. What `python -m deeplab_tf.eval` calls."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shlex

from deeplab_tf import locks
from deeplab_tf.datasets import sources
from deeplab_tf.datasets.samples import is_records, list_samples
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.evaluation import evaluate as judging
from deeplab_tf.evaluation.examples import count_examples
from deeplab_tf.evaluation.instances import instance_reader
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.label_agreement import spec_for_masks
from deeplab_tf.experiment.network import crf_of, load_trained
from deeplab_tf.experiment.results import named_settings, result_folder
from deeplab_tf.experiment.run_folder import data_dir_of, dataset_of, load_config, load_spec, shared_pictures
from deeplab_tf.weights import records


def evaluate(
    config: ExperimentConfig,
    workdir: str | os.PathLike | None = None,
    *,
    out: str | os.PathLike | None = None,
    save_scores: bool = False,
    cached_scores: bool = False,
    match_names: bool = False,
    shard: tuple[int, int] | None = None,
    merge: bool = False,
    overwrite: bool = False,
) -> dict:
    """Evaluates on `config.data.eval_split`; writes result.json and report.html into `out` or WORKDIR/eval/SPLIT.

    Args:
      config: the run's config, perhaps with other evaluation settings, or that of a weights file.
      workdir: folder of the run; None for `config.model.weights`.
      out: a folder of its own for the results; a weights file needs one.
      save_scores: keep the probabilities below it in scores/.
      cached_scores: run the CRF over the scores of an earlier evaluation by the same network and settings, without running it.
      match_names: read the masks by the data's own label table and match its classes with the run's by name.
      shard: (i, n), evaluate every n-th picture from the i-th on; several may run at once.
      merge: make the results of the shards that are there, in the place of evaluating.
      overwrite: replace results that would else be refused (`results.result_folder`).

    Returns:
      What result.json holds.
    """
    split, settings = config.data.eval_split, config.eval
    folder = result_folder(config, workdir, out, overwrite)
    run = None if merge and workdir else load_trained(config, workdir)
    spec = masks_of(config, load_spec(workdir) if run is None else run.spec, match_names)
    where = (spec, data_dir_of(config), split)
    told = {
        "out_dir": folder,
        "warnings": _contamination(config, split) if workdir else run.warnings,
        "origin": _origin(config, workdir, out, "merge" if merge else f"shard={shard[0]}/{shard[1]}" if shard else None),
    }
    if merge:
        with locks.holding(folder, "eval"):
            return judging.merge(spec, settings=named_settings(config, workdir), **told)
    shared = told | {
        "crf": crf_of(config),
        "crf_workers": settings.crf_workers,
        "gallery": settings.gallery,
        "trimap": settings.trimap,
        "ignored": config.data.ignore_classes or (),
        "instances": None if is_records(where[1]) else instance_reader(list_samples(*where)),
        "shard": shard,
        "settings": named_settings(config, workdir) | ({"weights": run.source.name} if run else {}),
    }
    # Shards write files of their own, so that several may run at once.
    alone = contextlib.nullcontext() if shard else locks.holding(folder, "eval")
    with alone, sources.errors(*where):
        examples = sources.evaluation(*where, limit=settings.max_images)
        if shard:
            shared["whole"] = _whole(examples, where)
            examples = examples.shard(shard[1], shard[0] - 1)
        if cached_scores:
            how = {name: value for name, value in run.how.items() if name != "memory_limit"}
            return judging.evaluate_scores(spec, examples, about=judging.scores_about(run.judged, **how), **shared)
        return judging.evaluate(run.judged, spec, examples, save_scores=save_scores, **run.how, **shared)


def masks_of(config: ExperimentConfig, spec: DatasetSpec, match_names: bool) -> DatasetSpec:
    """The label table to read the masks by: the network's; records are compared with it when they are opened.

    Raises:
      UserError: the table beside the data is another one (`label_agreement`).
    """
    return spec if is_records(data_dir_of(config)) else spec_for_masks(spec, dataset_of(config), match_names)


def _whole(examples, where: tuple) -> dict:
    """The set that a shard is a part of: its number of pictures and, but of records, a hash of their ids and masks, for a
    mask that is mended between two shards would count in one of them as it was."""
    digest = hashlib.blake2b(digest_size=16)
    for sample in () if is_records(where[1]) else list_samples(*where):
        digest.update(sample.id.encode() + b"\0")
        if sample.label:
            digest.update(hashlib.blake2b(pathlib.Path(sample.label).read_bytes(), digest_size=16).digest())
    return {"pictures": count_examples(examples), "masks": digest.hexdigest()}


def _origin(
    config: ExperimentConfig, workdir: str | os.PathLike | None, out: str | os.PathLike | None, part: str | None
) -> dict:
    """What makes these figures again, for the report: the run's flags, and those that were given to this evaluation."""
    flags = (load_config(workdir) if workdir else ExperimentConfig()).to_flagfile()
    given = [flag for flag in config.to_flagfile().splitlines() if flag not in flags.splitlines()]
    places = {"workdir": workdir, "out": out}
    command = ["python -m deeplab_tf.eval", *(f"--{flag}={path}" for flag, path in places.items() if path), *given,
               *([f"--{part}"] if part else [])]  # fmt: skip
    evaluation = " ".join([command[0], *map(shlex.quote, command[1:])])
    if not workdir:
        return {"commands": [evaluation]}
    training = f"python -m deeplab_tf.train --flagfile=flags.txt --workdir={shlex.quote(os.fspath(workdir))}"
    return {"log_file": pathlib.Path(workdir) / "train.jsonl", "commands": [training, evaluation], "flags": flags}


def _contamination(config: ExperimentConfig, split: str) -> tuple[str, ...]:
    """Warns where the run or its initial weights were trained on the pictures that are now evaluated."""
    shared, data, weights = shared_pictures(config, split), config.data, config.model.weights
    said = ()
    if shared:
        said = (
            f"{split}: the run was trained on {shared:,} of these pictures ({data.train_split}), so the figures say little "
            "about others; evaluate on another split",
        )
    record = records.RECORDS.get(weights) or records.find_record(weights) if weights else None
    known = record and record.contains_val and data.dataset == "voc2012" and split == "val"
    return said + (record.warnings() if known else ())
