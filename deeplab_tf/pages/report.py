"""The page of an evaluation, or of several results side by side: figures, pictures and curves, one self-contained HTML file."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve
from deeplab_tf.pages.chart import Chart, Line
from deeplab_tf.pages.gallery import ERROR_COLORS, MENDED, SPOILED, WRONG, Gallery, GalleryItem
from deeplab_tf.pages.label_errors import LabelError
from deeplab_tf.pages.rendering import render, save
from deeplab_tf.pages.strips import Strip

_MAX_NUMBERED_CLASSES = 24  # a heat map of more classes has cells too small for numbers
_FAILURES = 6  # pictures
_CONFUSIONS = 3  # of a failure
_BANDS = {
    "void": "void pixels dilated, less the void itself",
    "label_change": "pixels within that distance of a change of label, void left out",
}

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Intervals:
    """How far the figures of a set may be due to its choice of pictures; low and high ends as fractions, NaN or None: unknown.

    Attributes:
      over: what was drawn anew, such as "101 pictures" or "3 sequences".
      mean_iou: by result.
      per_class_iou: by result, then by class id.
      gain: of the mean IoU from the first result to the last, paired; None where there is one result.
      per_class_gain: the same by class id.
      level: share of the draws that lie inside.
    """

    over: str
    mean_iou: Mapping[str, Interval | None]
    per_class_iou: Mapping[str, Sequence[Interval | None]]
    gain: Interval | None = None
    per_class_gain: Sequence[Interval | None] | None = None
    level: float = 0.95


@dataclasses.dataclass(frozen=True)
class Report:
    """What stands in a report.

    Attributes:
      title: heading of the page.
      class_names: by class id.
      palette: RGB by class id.
      results: name -> confusion matrix, in the order in which they are compared: "before CRF" and "after CRF", or two runs;
        the last is the one that counts, and gains are over the first.
      gallery: the pictures, offered with predictions in the order of `results`.
      sort: how they are sorted at first: "worst", "best", "changed", "gained", "lost", "order" or "name".
      figures: further headline figures, name -> text.
      settings: how the figures came about, name -> value.
      warnings: sentences that the reader must not miss.
      intervals: of the figures, where they are known.
      trimaps: name -> curve over the width of the band round boundaries; any number, also of other runs.
      training: the curves of the run, see `curves.read_curves`.
      label_errors: the likeliest ones.
      strips: how the CRF changes single pictures, by iteration.
      commands: what makes the figures again, a line each.
      flags: text of the run's flags file, for the same.
    """

    title: str
    class_names: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    results: Mapping[str, ConfusionMatrix]
    gallery: Gallery
    sort: str = "worst"
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    warnings: Sequence[str] = ()
    intervals: Intervals | None = None
    trimaps: Mapping[str, TrimapCurve] = dataclasses.field(default_factory=dict)
    training: Sequence[Chart] = ()
    label_errors: Sequence[LabelError] = ()
    strips: Sequence[Strip] = ()
    commands: Sequence[str] = ()
    flags: str = ""

    def write(self, path: str | os.PathLike) -> None:
        """Writes the page; a reader never sees half of it.

        Raises:
          UserError: the folder or the disk refuses.
        """
        save(path, self.html())

    def html(self) -> str:
        """The page; pictures, style and script are inside."""
        names, counts = list(self.results), list(self.results.values())
        # One result is drawn in the strong colour, the first of several in a pale one.
        colors = [1] if len(names) == 1 else [place % 6 for place in range(len(names))]
        shown = self.gallery.items()
        return render(
            "report.html",
            title=self.title,
            names=names,
            colors=colors,
            report=self,
            figures=_figures(names, counts, self.intervals),
            classes=_classes(self, names, counts),
            missing=[name for name, value in zip(self.class_names, counts[-1].iou(), strict=True) if math.isnan(value)],
            gallery=[_card(item, reasons) for item, reasons in shown],
            reasons=list(dict.fromkeys(reason for _, reasons in shown for reason in reasons)),
            shown=self.gallery.summary() if shown else "",
            failures=_failures(shown, self.class_names),
            heat=_heat(counts[-1]),
            matrices=[result.matrix.tolist() for result in counts],
            numbered=len(self.class_names) <= _MAX_NUMBERED_CLASSES,
            trimap=_trimap(self.trimaps, names, colors),
            error_colors={"wrong": ERROR_COLORS[WRONG], "mended": ERROR_COLORS[MENDED], "spoiled": ERROR_COLORS[SPOILED]},
        )


def _figures(names: Sequence[str], counts: Sequence[ConfusionMatrix], intervals: Intervals | None) -> list[dict]:
    """The headline figures: value of the last result, and where there are more, of the first one and the gain."""
    read = {
        "Mean IoU": ConfusionMatrix.mean_iou,
        "Pixel accuracy": ConfusionMatrix.pixel_accuracy,
        "Mean class accuracy": ConfusionMatrix.mean_accuracy,
    }
    figures = [{"name": name, "value": of(counts[-1]), "first": of(counts[0])} for name, of in read.items()]
    for figure in figures:
        figure |= {"gain": figure["value"] - figure["first"], "interval": None, "gain_interval": None}
    if intervals is not None:
        figures[0] |= {"interval": _known(intervals.mean_iou.get(names[-1])), "gain_interval": _known(intervals.gain)}
    return figures


def _classes(report: Report, names: Sequence[str], counts: Sequence[ConfusionMatrix]) -> list[dict]:
    """A row for every class and one for the mean: IoU by result, gain, intervals, shares."""
    iou = np.array([result.iou() for result in counts])
    truth, predicted = counts[-1].class_frequency(), counts[-1].predicted_frequency()
    within = report.intervals
    rows = [
        {
            "id": k, "name": name, "color": report.palette[k], "iou": iou[:, k].tolist(), "gain": iou[-1, k] - iou[0, k],
            "intervals": [_known(within.per_class_iou[result][k]) if within and result in within.per_class_iou else None
                          for result in names],
            "gain_interval": _known(within.per_class_gain[k]) if within and within.per_class_gain else None,
            "truth": truth[k], "predicted": predicted[k],
        }
        for k, name in enumerate(report.class_names)
    ]  # fmt: skip
    means = [result.mean_iou() for result in counts]
    mean = {
        "id": None, "name": "Mean", "iou": means, "gain": means[-1] - means[0],
        "intervals": [_known(within.mean_iou.get(result)) if within else None for result in names],
        "gain_interval": _known(within.gain) if within else None,
    }  # fmt: skip
    return [*rows, mean]


def _known(interval: Interval | None) -> Interval | None:
    return None if interval is None or any(end is None or math.isnan(end) for end in interval) else interval


def _card(item: GalleryItem, reasons: Sequence[str]) -> dict:
    scores = item.scores
    numbers = [None if math.isnan(score) else round(score, 4) for score in scores]
    classes = {k: [round(value, 4) for value in values] for k, values in item.class_scores().items()}
    data = {"order": item.order, "scores": numbers, "classes": classes, "reasons": list(reasons)}
    return {"item": item, "scores": scores, "gain": scores[-1] - scores[0], "data": data}


def _failures(shown: Sequence[tuple[GalleryItem, list[str]]], names: Sequence[str]) -> list[dict]:
    """The worst of the pictures shown, and what was mostly taken for what there."""
    ranked = sorted((item.scores[-1], item.order, item) for item, _ in shown if not math.isnan(item.scores[-1]))
    return [
        {"item": item, "score": score, "confusions": _confusions(item.counts[-1], names)}
        for score, _, item in ranked[:_FAILURES]
    ]


def _confusions(counts: ConfusionMatrix, names: Sequence[str]) -> list[dict]:
    """The largest numbers off the diagonal, with their share of the true class' pixels."""
    matrix = counts.matrix
    total = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    largest = np.argsort(-matrix, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [divmod(int(place), len(names)) for place in largest]
    return [
        {"truth": names[i], "taken": names[j], "pixels": int(matrix[i, j]), "share": matrix[i, j] / total[i]}
        for i, j in pairs
        if matrix[i, j] >= max(0.01 * total[i], 1)
    ]


def _heat(counts: ConfusionMatrix) -> list[list[float]]:
    """Shares of each true class' pixels by predicted class; the page's script makes the other normalisations of the counts."""
    matrix = counts.matrix.astype(float)
    total = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0).tolist()


def _trimap(trimaps: Mapping[str, TrimapCurve], names: Sequence[str], colors: Sequence[int]) -> dict | None:
    if not trimaps:
        return None
    known, others = dict(zip(names, colors, strict=True)), iter(range(2, len(trimaps) + 2))
    lines = []
    for name, curve in trimaps.items():
        color = known[name] if name in known else next(others) % 6
        percent = [100 * value for value in curve.mean_iou()]
        lines.append(Line(name if len(trimaps) > 1 else "", range(len(percent)), percent, color))
    how = _BANDS[next(iter(trimaps.values())).definition]
    return {"chart": Chart("Mean IoU, %, by width in pixels", lines, from_zero=False), "how": how}
