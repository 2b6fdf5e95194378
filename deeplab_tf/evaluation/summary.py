"""From counts to the figures of result.json: plain values, rates as fractions, null where there was nothing to count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from deeplab_tf.evaluation.intervals import LEVEL, Draws, draw, drawn_iou, interval, iou_of, mean_over_classes
from deeplab_tf.evaluation.object_size import LIMITS, SIZES, size_iou
from deeplab_tf.evaluation.stage import Stage
from deeplab_tf.evaluation.tally import Tally
from deeplab_tf.metrics.boundary_f1 import TOLERANCE, boundary_f1
from deeplab_tf.metrics.cityscapes import category_scores

_WORST = 10  # pictures that are named


def summary(tally: Tally) -> dict:
    """The part of result.json that is counted."""
    spec, names = tally.spec, tally.spec.class_names
    draws = draw(tally.ids, spec.name)
    drawn = {name: drawn_iou(draws, stage.of_pictures(), tally.ignored) for name, stage in tally.stages.items()}
    rates = {name: _stage_rates(stage, tally, drawn[name]) for name, stage in tally.stages.items()}
    final = tally.after or tally.before
    result = rates["before"] | {
        "crf": rates["after"] | {"gain": _gain(tally, drawn)} if "after" in rates else None,
        "label_frequency": _by_name(names, final.class_frequency()),
        "images": tally.images,
        "bootstrap": _of_draws(draws),
    }
    if tally.ignored:
        result["ignored_classes"] = [names[k] for k in tally.ignored]
    if tally.trimap is not None:
        result["trimap"] = {"definition": tally.trimap, "after": None} | {
            name: [_number(value) for value in stage.curve.mean_iou()] for name, stage in tally.stages.items()
        }
    return result


def _stage_rates(stage: Stage, tally: Tally, drawn: np.ndarray) -> dict:
    names, counts = tally.spec.class_names, stage.counts
    return {
        "mean_iou": _number(counts.mean_iou()),
        "mean_iou_empty_as_one": _number(counts.mean_iou(empty="one")),
        "per_class_iou": _by_name(names, counts.iou()),
        "intervals": {"mean_iou": interval(mean_over_classes(drawn)), "per_class_iou": _intervals(names, drawn)},
        "pixel_accuracy": _number(counts.pixel_accuracy()),
        "mean_accuracy": _number(counts.mean_accuracy()),
        "frequency_weighted_iou": _number(counts.frequency_weighted_iou()),
        "per_picture": _per_picture(tally.ids, stage.of_pictures(), tally.ignored),
        "boundary_f1": _boundary(names, stage.of_pictures("boundary")),
        "object_size": _object_size(names, stage.sizes),
        "predicted_frequency": _by_name(names, counts.predicted_frequency()),
        "confusion_matrix": counts.matrix.tolist(),
    } | _cityscapes(stage, tally)


def _gain(tally: Tally, drawn: dict[str, np.ndarray]) -> dict:
    """What the CRF adds, and whether it harms: the mean, or a class by more than chance explains."""
    names, gained = tally.spec.class_names, drawn["after"] - drawn["before"]
    gain = tally.after.iou() - tally.before.iou()
    mean = tally.after.mean_iou() - tally.before.mean_iou()
    by_class = _intervals(names, gained)
    harmed = [name for name in names if by_class[name] and by_class[name][1] < 0]
    return {
        "mean_iou": _number(mean),
        "interval": interval(mean_over_classes(drawn["after"]) - mean_over_classes(drawn["before"])),
        "per_class_iou": _by_name(names, gain),
        "per_class_interval": by_class,
        "helps": None if math.isnan(mean) else bool(mean > 0),
        "harmed_classes": harmed,
    }


def crf_warnings(result: dict) -> list[str]:
    """A sentence where the CRF makes the set or a class worse, with the way out."""
    gain = result["crf"] and result["crf"]["gain"]
    if not gain or gain["mean_iou"] is None:
        return []
    way_out = "search its parameters with crf_search, or leave it out with --nocrf"
    if gain["mean_iou"] < 0:
        sure = "" if gain["interval"] and gain["interval"][1] < 0 else ", which may be chance"
        points = f"{100 * gain['mean_iou']:+.1f} points{_between(gain['interval'])}"
        return [f"the CRF harms here: mean IoU {points}{sure}; {way_out}."]
    if gain["harmed_classes"]:
        losses = ", ".join(f"{name} {100 * gain['per_class_iou'][name]:+.1f}" for name in gain["harmed_classes"])
        return [f"the CRF helps the mean and harms classes by more than chance explains ({losses} points); {way_out}."]
    return []


def _between(ends) -> str:
    return f" ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})" if ends else ""


def _per_picture(ids: Sequence[str], counts: np.ndarray, ignored: Sequence[int]) -> dict:
    """Mean IoU over the classes of each picture alone: a flattering mean, and where the network fails."""
    scores = mean_over_classes(iou_of(counts, ignored))
    known = np.flatnonzero(~np.isnan(scores))
    worst = known[np.argsort(scores[known], kind="stable")]
    decile = worst[: max(1, -(-len(worst) // 10))]
    return {
        "mean_iou": _number(scores[known].mean() if known.size else math.nan),
        "worst_decile": _number(scores[decile].mean() if decile.size else math.nan),
        "worst": {ids[k]: float(scores[k]) for k in worst[:_WORST]},
    }


def _boundary(names: Sequence[str], counts: np.ndarray) -> dict:
    """Csurka's: the mean over pictures of the mean over the classes that the picture has; and each class over its pictures."""
    f1 = boundary_f1(counts)
    pictures = mean_over_classes(f1)
    known = pictures[~np.isnan(pictures)]
    return {
        "mean": _number(known.mean() if known.size else math.nan),
        "per_class": _by_name(names, mean_over_classes(f1.T)),
        "tolerance": TOLERANCE,
    }


def _object_size(names: Sequence[str], counts: np.ndarray) -> dict:
    iou, areas = size_iou(counts), (0, *LIMITS, None)
    return {
        size: {"area": list(areas[k : k + 2]), "mean_iou": _number(mean_over_classes(iou[:, k])),
               "per_class_iou": _by_name(names, iou[:, k])}
        for k, size in enumerate(SIZES)
    }  # fmt: skip


def _cityscapes(stage: Stage, tally: Tally) -> dict:
    categories = [one.category for one in getattr(tally.spec, "classes", ())]
    if not all(categories) or not categories:
        return {}
    instances = stage.of_pictures("instances")
    weights = instances.sum(axis=0) if len(instances) == tally.images else None
    scores = category_scores(stage.counts.matrix, weights, tally.spec.class_names, categories)
    means = {f"mean_{name}": _number(mean_over_classes(np.array(list(values.values())))) for name, values in scores.items()}
    return {name: {key: _number(value) for key, value in values.items()} for name, values in scores.items()} | means


def _of_draws(draws: Draws) -> dict:
    return {"over": draws.over, "units": draws.units, "draws": len(draws.weights), "level": LEVEL, "note": draws.note}


def _intervals(names: Sequence[str], drawn: np.ndarray) -> dict:
    return {name: interval(drawn[:, k]) for k, name in enumerate(names)}


def _by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {name: _number(value) for name, value in zip(names, values, strict=True)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
