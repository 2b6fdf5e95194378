"""Evaluates a network on a set, before and after the CRF, and writes result.json and report.html."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.examples import Example, count_examples, read_examples, refine_beside
from deeplab_tf.evaluation.exhibits import Exhibits
from deeplab_tf.evaluation.parts import PICTURES, load_shards, save_part, shard_path, tally_of
from deeplab_tf.evaluation.picture_cache import PictureCache, label_cache, read_about, score_cache
from deeplab_tf.evaluation.summary import crf_warnings, summary
from deeplab_tf.evaluation.tally import Tally, collapse_warnings, void_warnings
from deeplab_tf.inference.digest import network_digest
from deeplab_tf.inference.predictor import predictor_for
from deeplab_tf.inference.segment import segment
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.pages.report import Intervals
from deeplab_tf.whole_files import check_writable, make_folder, replacing


def evaluate(
    model: keras.Model,
    spec,
    examples: Iterable[Mapping],
    *,
    out_dir: str | os.PathLike,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    fusion: str = "max_logits",
    tile: int | tuple[int, int] | Tiles | None = None,
    memory_limit: float | None = None,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    crf_workers: int = 2,
    save_scores: bool = False,
    gallery: int = 12,
    trimap: str | None = None,
    ignored: Sequence[int] = (),
    instances: Callable[[str], np.ndarray | None] | None = None,
    shard: tuple[int, int] | None = None,
    whole: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
    origin: Mapping[str, object] | None = None,
    progress: bool = True,
) -> dict:
    """Mean IoU and the rest of a set, from one confusion matrix at the pictures' own size.

    The CRF works in threads beside the network; at most `crf_workers` + 1 pictures are in flight.

    Args:
      model: a network of the zoo or a MultiScale.
      spec: the DatasetSpec: classes, colours, ignored label.
      examples: {"image": uint8 [height, width, 3], "label": integer [height, width], "id": text}, NumPy values or
        a tf.data.Dataset; where they know their number, the progress bar tells the time left.
      out_dir: made if it is not there; gets result.json, report.html and pictures.npz, the counts of single pictures.
      scales, flip, fusion, tile, memory_limit: as `segment` takes them.
      crf: a DenseCRF, or None.
      crf_workers: threads that run it.
      save_scores: keep the probabilities in out_dir/scores (and the labels after the CRF in out_dir/crf_labels), and
        reuse those of an earlier run whose pictures, network, scales, flip and tile (and CRF) were the same. They are kept
        rounded, and the rounded ones are evaluated, so that the first run and a later one give the same figures.
      gallery: pictures in the report.
      trimap: definition of the boundary band for a curve over its width, "void" or "label_change".
      ignored: train ids that count as void and have no IoU.
      instances: id -> the data set's instance map, integer [height, width], or None where it has none.
      shard: (i, n): `examples` are those numbered i-1, i-1+n, … of a set; their counts go to out_dir/shards/i-of-n.npz, and
        `merge` makes the results of all of them.
      whole: of a shard, JSON-able facts of the set that it is a part of; `merge` takes shards of the same set alone.
      settings: further settings, shown in the report.
      warnings: sentences to put into result.json and the report.
      origin: what the report tells of how to make it again: log_file, commands and flags, as `Exhibits.write` takes them.
      progress: whether to draw a progress bar.

    Returns:
      What result.json holds: mean_iou, per_class_iou (name -> fraction or None), pixel_accuracy, further rates, crf (the
      same after the CRF, or None), images, seconds, warnings.

    Raises:
      UserError: out_dir cannot be written, the model's and the data set's numbers of classes differ, there are no
        examples, or a mask does not fit its picture or the label table.
    """
    check_writable(out_dir)
    predictor = predictor_for(model, scales, flip, fusion)
    if predictor.num_classes != spec.num_classes:
        raise UserError(
            f"model {predictor.network.name} has {predictor.num_classes} outputs and data set {spec.name} {spec.num_classes} "
            "classes, expected the same number: take the model that was trained on this data set."
        )
    out_dir = pathlib.Path(out_dir)
    about = scores_about(model, scales, flip, fusion, tile) if save_scores or shard else {}
    cache = score_cache(out_dir / "scores", about) if save_scores else None

    def scores_of(example: Example) -> np.ndarray:
        probabilities = None if cache is None else cache.get(example.id, example.image)
        if probabilities is None:
            probabilities = segment(model, example.image, scales, flip, tile, fusion=fusion, memory_limit=memory_limit)
            if cache is not None:
                cache.put(example.id, example.image, probabilities)
                probabilities = cache.get(example.id, example.image)
        return probabilities

    shown = {"model": predictor.network.name, "scales": predictor.scales, "flip": flip, "tile": tile}
    shown |= {"fusion": fusion} if len(predictor.scales) > 1 else {}
    run = _Run(
        spec, out_dir, crf, crf_workers, gallery, trimap, tuple(ignored), instances, shard, shown | dict(settings or {}),
        tuple(warnings), dict(origin or {}), {"network": about["network"], "whole": whole} if shard else {},
    )  # fmt: skip
    labels = _crf_label_cache(out_dir, crf, about) if save_scores else None
    return run(examples, scores_of, labels, progress)


def scores_about(
    model: keras.Model, scales: tuple[float, ...] = (1.0,), flip: bool = False, fusion: str = "max_logits",
    tile: int | tuple[int, int] | Tiles | None = None,
) -> dict:  # fmt: skip
    """What kept scores depend on beside their pictures, as `score_cache` takes it."""
    return {
        "network": network_digest(model),
        "scales": list(predictor_for(model, scales, flip, fusion).scales),
        "flip": bool(flip),
        "fusion": fusion,
        "tile": None if tile is None else dataclasses.asdict(Tiles.of(tile)),
    }


def evaluate_scores(
    spec,
    examples: Iterable[Mapping],
    *,
    out_dir: str | os.PathLike,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None,
    crf_workers: int = 2,
    gallery: int = 12,
    trimap: str | None = None,
    ignored: Sequence[int] = (),
    instances: Callable[[str], np.ndarray | None] | None = None,
    shard: tuple[int, int] | None = None,
    whole: Mapping[str, object] | None = None,
    about: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
    origin: Mapping[str, object] | None = None,
    progress: bool = True,
) -> dict:
    """As `evaluate`, over the scores that `evaluate(..., save_scores=True)` left in out_dir/scores; needs no network.

    Args:
      about: `scores_about` of what the scores must have come about by; None takes what is there.

    Raises:
      UserError: out_dir cannot be written, a picture's scores are missing or damaged, or they came about otherwise.
    """
    check_writable(out_dir)
    out_dir = pathlib.Path(out_dir)
    cache = score_cache(out_dir / "scores", None)

    def scores_of(example: Example) -> np.ndarray:
        probabilities = cache.get(example.id, example.image)
        if probabilities is None or probabilities.shape[2] != spec.num_classes:
            raise UserError(
                f"{cache.path(example.id)} is missing, damaged, of another picture of this name, or not of the data set's "
                f"{spec.num_classes} classes: evaluate with --save_scores first."
            )
        return probabilities

    kept = read_about(out_dir / "scores")
    if kept is None:
        raise UserError(f"{out_dir / 'scores'} holds no scores: evaluate with --save_scores first.")
    for name, value in json.loads(json.dumps(about or {})).items():
        if kept.get(name) != value:
            raise UserError(
                f"{out_dir / 'scores'} came about with {name} {kept.get(name)}, expected {value} as it is asked for now; "
                "evaluate with --save_scores again."
            )
    run = _Run(
        spec, out_dir, crf, crf_workers, gallery, trimap, tuple(ignored), instances, shard, dict(settings or {}) | kept,
        tuple(warnings), dict(origin or {}), {"network": kept.get("network"), "whole": whole},
    )  # fmt: skip
    return run(examples, scores_of, _crf_label_cache(out_dir, crf, kept), progress)


def merge(
    spec, out_dir: str | os.PathLike, *, settings: Mapping[str, object] | None = None, warnings: Sequence[str] = (),
    origin: Mapping[str, object] | None = None,
) -> dict:  # fmt: skip
    """The result of a set from its shards in out_dir/shards: the same figures, to the last bit, as of one run, and
    the same pictures in the report.

    Args:
      spec, out_dir, warnings, origin: as `evaluate` takes them; the shards' own commands stand before the origin's last.
      settings: what the shards must have come about with.

    Raises:
      UserError: names shards that are missing, overlap or came about with other settings.
    """
    out_dir = pathlib.Path(out_dir)
    parts = load_shards(out_dir)
    about = parts[0].about
    for name, value in (settings or {}).items():
        made = about["settings"].get(name)
        if (made != "none") != value if name == "crf" else made != _plain(value):  # `crf` holds its parameters, or "none"
            raise UserError(
                f"--merge: got {name} {_plain(value)}, and the shards in {out_dir} were made with {made}; leave it out, or "
                "make them again."
            )
    if about["classes"] != list(spec.class_names):
        raise UserError(f"--merge: the shards in {out_dir} are of other classes than {spec.name}; make them again.")
    tally, seconds = tally_of(spec, parts), sum(part.about["seconds"] for part in parts)
    exhibits = Exhibits(spec, None, about.get("gallery") or 0)
    for part in parts:
        if part.exhibits:
            exhibits.add_state(part.exhibits)
    origin = dict(origin or {})
    if "commands" in origin:
        *before, last = origin["commands"]
        origin["commands"] = [*before, *(part.about["command"] for part in parts if part.about.get("command")), last]
    return _write_results(out_dir, tally, exhibits, about["settings"], warnings, origin, seconds)


@dataclasses.dataclass(frozen=True)
class _Run:
    """The part that does not care where the scores come from."""

    spec: object
    out_dir: pathlib.Path
    crf: Callable | None
    crf_workers: int
    gallery: int
    trimap: str | None
    ignored: tuple[int, ...]
    instances: Callable | None
    shard: tuple[int, int] | None
    settings: dict
    warnings: tuple[str, ...]
    origin: dict
    facts: dict  # of a shard: what those of one evaluation share

    def __call__(self, examples, scores_of, labels: PictureCache | None, progress: bool) -> dict:
        start, total = time.monotonic(), count_examples(examples)
        tally = Tally(self.spec, self.crf is not None, self.trimap, self.ignored)
        exhibits = Exhibits(self.spec, self.crf, self.gallery)
        first, step = (self.shard[0] - 1, self.shard[1]) if self.shard else (0, 1)
        scored = ((example, scores_of(example)) for example in read_examples(examples))
        refined = refine_beside(scored, self._refine(labels), self.crf_workers)
        with (
            logging_redirect_tqdm(),  # log lines go above the bar
            tqdm.tqdm(refined, total=total, disable=not progress, unit="picture", dynamic_ncols=True) as bar,
        ):
            for number, (example, scores, before, after) in enumerate(bar):
                instances = None if self.instances is None else self.instances(example.id)
                place = first + step * number
                try:
                    tally.add(example.id, place, example.label, before, after, instances)
                except ValueError as error:
                    raise UserError(f"{example.id}: {error}.") from error
                exhibits.add(example.id, place, example.image, example.label, scores, before, after)
                bar.set_postfix(tally.running(), refresh=False)
        if not tally.images:
            raise UserError(f"data set {self.spec.name} has no pictures to evaluate: look at the split and its list file.")
        settings, seconds = self._settings(), time.monotonic() - start
        if self.shard:
            about = {"shard": list(self.shard), "settings": settings, "seconds": seconds, "gallery": self.gallery} | self.facts
            about["command"] = self.origin.get("commands", [None])[-1]
            save_part(shard_path(self.out_dir, self.shard), tally, about, exhibits.state())
            return _result(tally, settings, self.warnings, seconds)
        return _write_results(self.out_dir, tally, exhibits, settings, self.warnings, self.origin, seconds)

    def _settings(self) -> dict:
        settings = {"data set": self.spec.name} | self.settings | {"crf": _describe_crf(self.crf)}
        return {name: _plain(value) for name, value in settings.items()}

    def _refine(self, labels: PictureCache | None) -> Callable | None:
        if self.crf is None:
            return None

        def refine(example: Example, probabilities: np.ndarray) -> np.ndarray:
            ids = None if labels is None else labels.get(example.id, example.image)
            if ids is None:
                ids = self.crf(example.image, probabilities).argmax(axis=-1)
                if labels is not None:
                    labels.put(example.id, example.image, ids)
            return ids

        return refine


def _result(tally: Tally, settings: dict, warnings: Sequence[str], seconds: float) -> dict:
    """What result.json holds."""
    counted = summary(tally)
    alarms = collapse_warnings(tally.before, tally.after, tally.spec.class_names)
    warnings = [*warnings, *void_warnings(tally.before), *alarms, *crf_warnings(counted)]
    result = {"dataset": tally.spec.name, **counted, "seconds": seconds, "warnings": warnings, "settings": settings}
    return json.loads(json.dumps(result, allow_nan=False))


def _write_results(
    out_dir: pathlib.Path, tally: Tally, exhibits: Exhibits, settings: dict, warnings: Sequence[str], origin: dict,
    seconds: float,
) -> dict:  # fmt: skip
    result = _result(tally, settings, warnings, seconds)
    make_folder(out_dir)
    exhibits.write(
        out_dir / "report.html",
        tally,
        title=f"{settings.get('model', 'scores')} on {tally.spec.name}",
        figures={"Pictures": f"{tally.images:,}", "Time": _duration(seconds)},
        settings=settings,
        warnings=result["warnings"],
        intervals=_intervals(result, tally),
        **origin,
    )
    save_part(out_dir / PICTURES, tally, {"shard": [1, 1], "settings": settings, "seconds": seconds})
    with replacing(out_dir / "result.json") as partial:
        partial.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def _intervals(result: dict, tally: Tally) -> Intervals:
    """The intervals of result.json as the page takes them."""
    names, drawn, after = tally.spec.class_names, result["bootstrap"], result["crf"]
    stages = {"before CRF": result, "after CRF": after} if after else {"prediction": result}
    per_class = {name: [rates["intervals"]["per_class_iou"][one] for one in names] for name, rates in stages.items()}
    gain = after["gain"] if after else None
    return Intervals(
        over=f"{drawn['units']} {drawn['over']}" + (f"; {drawn['note']}" if drawn["note"] else ""),
        mean_iou={name: rates["intervals"]["mean_iou"] for name, rates in stages.items()},
        per_class_iou=per_class,
        gain=gain and gain["interval"],
        per_class_gain=gain and [gain["per_class_interval"][one] for one in names],
        level=drawn["level"],
    )


def _crf_label_cache(out_dir: pathlib.Path, crf: Callable | None, about: dict) -> PictureCache | None:
    if crf is None:
        return None
    return label_cache(out_dir / "crf_labels", {"scores": about, "crf": _describe_crf(crf)})


def _describe_crf(crf: Callable | None) -> str:
    params = getattr(crf, "params", None)
    compatibility = getattr(crf, "compatibility", None)
    matrix = "" if compatibility is None else f", compatibility {np.asarray(compatibility).tolist()}"
    return "none" if crf is None else f"{params if params is not None else crf!r}{matrix}"


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float | str | dict) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
