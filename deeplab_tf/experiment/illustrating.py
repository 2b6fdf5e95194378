"""The paper's figures from our layers and from judged runs. What `python -m deeplab_tf.figures` calls."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Collection, Mapping

import numpy as np
import tqdm

from deeplab_tf.datasets.miniature import SEEDS, render
from deeplab_tf.evaluation.comparison import refuse_others
from deeplab_tf.evaluation.crf_strips import window
from deeplab_tf.evaluation.parts import PICTURES
from deeplab_tf.experiment.judged_run import JudgedRun, evaluated_folder
from deeplab_tf.illustrations import boundaries, choosing
from deeplab_tf.illustrations.fields_of_view import figure_4
from deeplab_tf.illustrations.mean_field import mean_field_sheet
from deeplab_tf.illustrations.responses import figure_2, figure_3
from deeplab_tf.illustrations.rows import Shown, rows_of
from deeplab_tf.pages.figures import Figure, write_figures

NAMES = {"largefov": "LargeFOV", "aspp_s": "ASPP-S", "aspp_l": "ASPP-L", "resnet": "ResNet"}
_STAGE = {"before": "before CRF", "after": "after CRF"}
_FAILURES = ("lowest", "second lowest", "third lowest")  # rows of Fig. 14
_SCORES = "Below each map the mean IoU of the picture."
Runs = Mapping[str, JudgedRun]


class _LeftOut(Exception):
    """What a figure needs; `illustrate` says it."""


def illustrate(
    out: str | os.PathLike,
    runs: Mapping[str, str | os.PathLike],
    *,
    only: Collection[int] | None = None,
    split: str | None = None,
    data_dir: str | None = None,
) -> tuple[pathlib.Path, tuple[int, ...], dict[int, str]]:
    """Draws every figure that it can into a folder, see `write_figures`.

    Args:
      out: the folder.
      runs: keys of `NAMES` -> folders of runs; any of them may be missing.
      only: numbers of figures, None: all of `FIGURES`.
      split: the evaluated split, None: each run's own.
      data_dir: of the runs' data, None: where they say.

    Returns:
      The page, the numbers drawn, and number -> what is missing of those left out.

    Raises:
      UserError: a folder that is no run, runs judged on different pictures, data that are gone, a full disk.
    """
    unjudged = {name: run for name, run in runs.items() if not (evaluated_folder(run, split) / PICTURES).is_file()}
    judged = {name: JudgedRun(run, split, data_dir) for name, run in runs.items() if name not in unjudged}
    for one in list(judged.values())[1:]:
        refuse_others(next(iter(judged.values())).part, one.part)
    figures, left_out = [], {}
    for number in tqdm.tqdm(sorted(only or FIGURES), "figures", unit="figure"):
        try:
            figures.append(FIGURES[number](judged))
        except _LeftOut as missing:
            evaluate = "".join(f"; {run} is not evaluated: python -m deeplab_tf.eval --workdir={run} --save_scores"
                               for run in unjudged.values())  # fmt: skip
            left_out[number] = f"{missing}{evaluate}"
    page = write_figures(pathlib.Path(out), figures, left_out)
    return page, tuple(figure.number for figure in figures), left_out


def _scene() -> tuple[np.ndarray, str]:
    seed = SEEDS["val"][0]
    return render(seed)[0], f"the first rendered scene that is held out (seed {seed:,})"


def _figure_3(runs: Runs) -> Figure:
    return figure_3(*_scene())


def _figure_4(runs: Runs) -> Figure:
    return figure_4(*_scene())


def _figure_5(runs: Runs) -> Figure:
    run = _best(runs)
    gain = run.part.picture_iou("after") - run.part.picture_iou("before")
    place = int(choosing.ranked(run.picture_iou("after") - run.picture_iou("before"))[-1])
    class_index = int(choosing.ranked(gain[place])[-1])
    id, image, label = run.picture(place)
    probabilities = run.probabilities(id, image)
    changed = run.labels("after", id, image) != probabilities.argmax(axis=-1)
    part = window(changed if changed.any() else np.ones_like(changed))
    name = run.spec.class_names[class_index]
    return Figure(
        5, "Score and belief maps by mean-field iteration",
        mean_field_sheet(run.crf, image[part], label[part] == class_index, probabilities[part], class_index),
        f"Class {name} of {id}, by {run.name}: the picture that gains most mean IoU by the CRF, where it changed most, and the "
        "class whose IoU gains most there. Above the score against the best other class, mid grey where they are equal; below "
        "the belief. Bright is high.",
    )  # fmt: skip


def _figure_6(runs: Runs) -> Figure:
    run = _best(runs)
    after = run.picture_iou("after")
    gains = choosing.extremes(after - run.picture_iou("before"))
    chosen = {place: name for name, place in choosing.spread(after).items()}
    chosen.setdefault(gains["largest"], "largest gain by the CRF")
    shown = [_shown(run, place, why, {_STAGE[stage]: (run, stage) for stage in _STAGE}) for place, why in chosen.items()]
    return Figure(
        6, "Results before and after the CRF", rows_of(run.spec, shown),
        f"{run.name}. The pictures at the quarters of the mean IoU after the CRF, and the one that gains most by it. {_SCORES}",
    )  # fmt: skip


def _figure_8(runs: Runs) -> Figure:
    named = {name: (runs[key], "before") for key, name in NAMES.items() if key in runs and key != "resnet"}
    base, best = _needed(runs, "largefov"), _needed(runs, "aspp_l")
    difference = best.picture_iou("before") - base.picture_iou("before")
    shown = [_shown(base, place, f"{why} difference", named) for why, place in choosing.extremes(difference).items()]
    return Figure(
        8, "LargeFOV and ASPP", rows_of(base.spec, shown),
        f"{_told(runs, named)}; before the CRF. The pictures with the largest, the median and the lowest difference of mean "
        f"IoU, ASPP-L less LargeFOV. {_SCORES}",
    )  # fmt: skip


def _figure_9(runs: Runs) -> Figure:
    resnet, vgg = _needed(runs, "resnet"), _vgg(runs)
    for run in (resnet, vgg):
        _need_crf(run)
    columns = {f"{name} {sign}": (run, stage) for name, run in (("VGG-16", vgg), ("ResNet", resnet))
               for stage, sign in (("before", ""), ("after", "+ CRF"))}  # fmt: skip
    gain = vgg.picture_iou("after") - vgg.picture_iou("before")
    shown = [_shown(vgg, place, f"{why} gain of VGG-16", columns) for why, place in choosing.extremes(gain).items()]
    return Figure(
        9, "VGG-16 and ResNet, before and after the CRF", rows_of(vgg.spec, shown),
        f"VGG-16: {vgg.name}; ResNet: {resnet.name}. The pictures with the largest, the median and the lowest gain of mean IoU "
        f"of VGG-16 by the CRF. {_SCORES}",
    )  # fmt: skip


def _figure_10(runs: Runs) -> Figure:
    curves = {NAMES[key]: {stage: run.part.curve(stage, run.spec.ignore_label) for stage in run.stages}
              for key, run in runs.items() if run.part.about["trimap"]}  # fmt: skip
    if not curves:
        raise _LeftOut(f"needs a run evaluated with --trimap=void or label_change (--{', --'.join(NAMES)})")
    key = next(key for key in runs if NAMES[key] in curves)
    run, definition = runs[key], runs[key].part.about["trimap"]
    if any(runs[key].part.about["trimap"] not in (definition, None) for key in runs):
        raise _LeftOut("needs runs that were evaluated with the same --trimap")
    place = choosing.extremes(run.picture_iou(run.stages[-1]))["median"]
    id, image, label = run.picture(place)
    return Figure(
        10, "Mean IoU round the boundaries", boundaries.trimap_sheet(run.spec, image, label, definition),
        f"{_told(runs, curves)}; thin: before the CRF, strong: after it. Bands are by {_band(definition)}. Above, {id}: the "
        f"picture of the median mean IoU by {NAMES[key]}.",
        boundaries.trimap_chart(curves),
    )  # fmt: skip


def _figure_14(runs: Runs) -> Figure:
    run = _best(runs)
    places = choosing.worst(run.picture_iou("after"), len(_FAILURES))
    shown = [_shown(run, place, why, {_STAGE[stage]: (run, stage) for stage in _STAGE})
             for why, place in zip(_FAILURES, places, strict=False)]  # fmt: skip
    return Figure(
        14, "Failures", rows_of(run.spec, shown), f"{run.name}. The pictures of the lowest mean IoU after the CRF. {_SCORES}"
    )


FIGURES: Mapping[int, Callable[[Runs], Figure]] = {
    2: lambda runs: figure_2(), 3: _figure_3, 4: _figure_4, 5: _figure_5, 6: _figure_6, 8: _figure_8, 9: _figure_9,
    10: _figure_10, 14: _figure_14,
}  # fmt: skip


def _shown(run: JudgedRun, place: int, why: str, columns: Mapping[str, tuple[JudgedRun, str]]) -> Shown:
    id, image, label = run.picture(place)
    predictions = {name: (of.labels(stage, id, image), float(of.picture_iou(stage)[place]))
                   for name, (of, stage) in columns.items()}  # fmt: skip
    return Shown(id, why, image, label, predictions)


def _told(runs: Runs, names: Collection[str]) -> str:
    return "; ".join(f"{NAMES[key]}: {run.name}" for key, run in runs.items() if NAMES[key] in names)


def _band(definition: str) -> str:
    return {"void": "void, dilated", "label_change": "distance to a change of label"}[definition]


def _best(runs: Runs) -> JudgedRun:
    """The run with the highest mean IoU after the CRF; of equals the first."""
    refined = [run for run in runs.values() if "after" in run.stages]
    if not refined:
        raise _LeftOut(f"needs a run evaluated with the CRF (--{', --'.join(NAMES)})")
    return max(refined, key=lambda run: run.mean_iou("after"))


def _vgg(runs: Runs) -> JudgedRun:
    found = [runs[key] for key in ("largefov", "aspp_l", "aspp_s") if key in runs]
    return found[0] if found else _needed(runs, "largefov")


def _needed(runs: Runs, key: str) -> JudgedRun:
    if key not in runs:
        raise _LeftOut(f"needs an evaluated run of {NAMES[key]} (--{key})")
    return runs[key]


def _need_crf(run: JudgedRun) -> None:
    if "after" not in run.stages:
        raise _LeftOut(f"needs an evaluation with the CRF of {run.name}")
