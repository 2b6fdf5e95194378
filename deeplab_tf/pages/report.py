"""report.html: an evaluation on one page, in one file that can be sent to someone."""

from __future__ import annotations

import dataclasses
import html
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve
from deeplab_tf.pages.chart import boundary_section
from deeplab_tf.pages.gallery import Gallery, GalleryItem
from deeplab_tf.pages.style import STYLE
from deeplab_tf.whole_files import replacing

_MAX_NUMBERED_CLASSES = 24  # a heat map of more classes has cells too small for numbers


@dataclasses.dataclass(frozen=True)
class Report:
    """What stands in a report.

    Attributes:
      title: heading of the page.
      class_names: by class id.
      palette: RGB by class id.
      before, after: confusion matrices without and with the CRF (None: no CRF was run).
      gallery: the pictures.
      figures: further headline figures, name -> text.
      settings: how the figures came about, name -> value.
      warnings: sentences that the reader must not miss.
      trimap_before, trimap_after: curves over the width of the band round boundaries, or None.
    """

    title: str
    class_names: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    before: ConfusionMatrix
    after: ConfusionMatrix | None
    gallery: Gallery
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    warnings: Sequence[str] = ()
    trimap_before: TrimapCurve | None = None
    trimap_after: TrimapCurve | None = None

    def write(self, path: str | os.PathLike) -> None:
        """Writes the page; a reader never sees half of it.

        Raises:
          UserError: the folder or the disk refuses.
        """
        page = self.html()
        with replacing(path) as partial:
            partial.write_text(page, encoding="utf-8")

    def html(self) -> str:
        """The page; pictures and style are inside."""
        title = html.escape(self.title)
        parts = [
            f"<h1>{title}</h1>",
            _figures(self),
            _warnings(self.warnings),
            _classes(self),
            _gallery(self),
            _confusion(self),
            boundary_section(self.trimap_before, self.trimap_after),
            _settings(self.settings),
        ]
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body><main>\n'
            + "\n".join(part for part in parts if part)
            + "\n</main></body></html>\n"
        )


def _figures(report: Report) -> str:
    rows = [
        ("Mean IoU", ConfusionMatrix.mean_iou),
        ("Pixel accuracy", ConfusionMatrix.pixel_accuracy),
        ("Mean class accuracy", ConfusionMatrix.mean_accuracy),
    ]
    cards = []
    for name, read in rows:
        before = read(report.before)
        if report.after is None:
            cards.append((name, _percent(before, unit=True), ""))
        else:
            after = read(report.after)
            note = f"{_percent(before)} before the CRF {_gain(after - before)}"
            cards.append((name, _percent(after, unit=True), note))
    cards += [(html.escape(name), html.escape(value), "") for name, value in report.figures.items()]
    return (
        '<div class="figures">'
        + "".join(
            f'<div class="card"><div class="name">{name}</div><div class="value">{value}</div><small>{note}</small></div>'
            for name, value, note in cards
        )
        + "</div>"
    )


def _warnings(warnings: Sequence[str]) -> str:
    return "".join(f'<div class="alarm">{html.escape(warning)}</div>' for warning in warnings)


def _classes(report: Report) -> str:
    before, after = report.before.iou(), None if report.after is None else report.after.iou()
    final = report.before if report.after is None else report.after
    truth, predicted = final.class_frequency(), final.predicted_frequency()
    heading = "<th>IoU</th>" if after is None else "<th>Before CRF</th><th>After CRF</th><th>Gain</th>"
    lines = [
        f"<tr><th>Class</th>{heading}<th></th><th>Share of labels</th><th>Share of predictions</th></tr>"
    ]
    for k, name in enumerate(report.class_names):
        values = [before[k]] if after is None else [before[k], after[k]]
        shares = f"<td>{_percent(truth[k])}</td><td>{_percent(predicted[k])}</td>"
        lines.append(
            f"<tr><td>{_swatch(report.palette[k])}{html.escape(name)}</td>{_iou_cells(values)}{shares}</tr>"
        )
    means = (
        [report.before.mean_iou()] if after is None else [report.before.mean_iou(), report.after.mean_iou()]
    )
    lines.append(f'<tr class="mean"><td>Mean</td>{_iou_cells(means)}<td></td><td></td></tr>')
    missing = [name for name, value in zip(report.class_names, before, strict=True) if math.isnan(value)]
    note = f" Not in this set and left out: {html.escape(', '.join(missing))}." if missing else ""
    return (
        "<h2>Classes</h2><p class=soft>Intersection over union in %, from one confusion matrix over the set at the pictures' "
        f"own size; void pixels are not counted.{note}</p>"
        f'<div class="card scroll"><table class="classes">{"".join(lines)}</table></div>'
    )


def _iou_cells(values: Sequence[float]) -> str:
    cells = "".join(f"<td>{_percent(value)}</td>" for value in values)
    if len(values) == 2:
        cells += f"<td>{_gain(values[1] - values[0])}</td>"
    bars = "".join(
        f'<div class="bar{" after" if kind or len(values) == 1 else ""}" style="width:{100 * value:.1f}%"></div>'
        for kind, value in enumerate(values)
        if not math.isnan(value)
    )
    return f'{cells}<td class="bars">{bars}</td>'


def _gallery(report: Report) -> str:
    groups = report.gallery.groups()
    if not groups:
        return ""
    legend = "".join(
        f"<span>{_swatch(color)}{html.escape(name)}</span>"
        for name, color in zip(report.class_names, report.palette, strict=True)
    )
    parts = [
        '<h2>Pictures</h2><p class="soft">The figure beside a name is the mean IoU over the classes of that picture alone.</p>',
        f'<div class="legend">{legend}<span><span class="swatch void"></span>void: not counted</span></div>',
    ]
    for heading, items in groups.items():
        parts.append(f'<h3>{heading}</h3><div class="gallery">{"".join(map(_item, items))}</div>')
    return "\n".join(parts)


def _item(item: GalleryItem) -> str:
    maps = [("picture", item.image, ""), ("truth", item.label, "map void")]
    if item.after is None:
        maps.append(("prediction", item.before, "map"))
        score = _percent(item.score_before, unit=True)
    else:
        maps += [("before the CRF", item.before, "map"), ("after the CRF", item.after, "map")]
        gain = _gain(item.score_after - item.score_before)
        score = f"{_percent(item.score_before)} → {_percent(item.score_after, unit=True)} {gain}"
    figures = "".join(
        f'<figure><img class="{kind}" src="{uri}" alt="{name} of {html.escape(item.id)}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, uri, kind in maps
    )
    return (
        f'<figure class="item"><figcaption><b>{html.escape(item.id)}</b><span>{score}</span></figcaption>'
        f'<div class="maps" style="--columns:{len(maps)}">{figures}</div></figure>'
    )


def _confusion(report: Report) -> str:
    final = report.before if report.after is None else report.after
    matrix = final.matrix.astype(float)
    total = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    numbered = len(matrix) <= _MAX_NUMBERED_CLASSES
    names = [html.escape(name) for name in report.class_names]
    rows = []
    for k, name in enumerate(names):
        cells = "".join(
            _heat_cell(shares[k, j], k == j, f"{name} taken for {names[j]}", numbered)
            for j in range(len(names))
        )
        rows.append(f"<tr><th>{_swatch(report.palette[k])}{name}</th>{cells}</tr>")
    top = "".join(f"<th><div>{name}</div></th>" for name in names)
    when = "" if report.after is None else " After the CRF."
    return (
        '<h2>What is taken for what</h2><p class="soft">Each row is a true class and shows, in %, what its pixels were '
        f"predicted as; a good row is blue on the diagonal only.{when}</p>"
        f'<div class="card scroll"><table class="heat" style="--cell:{38 if numbered else 15}px">'
        f"<thead><tr><th></th>{top}</tr></thead>{''.join(rows)}</table></div>"
    )


def _heat_cell(share: float, hit: bool, title: str, numbered: bool) -> str:
    text = f"{100 * share:.0f}" if numbered and share >= 0.005 else ""
    strong = " strong" if share > 0.45 else ""
    # The square root makes small confusions visible.
    return (
        f'<td class="{"hit" if hit else "miss"}{strong}" style="--share:{100 * math.sqrt(share):.0f}%" '
        f'title="{title}: {100 * share:.2f} %">{text}</td>'
    )


def _settings(settings: Mapping[str, object]) -> str:
    if not settings:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in settings.items()
    )
    return f'<details open><summary>Settings</summary><table class="settings">{rows}</table></details>'


def _swatch(color: tuple[int, int, int]) -> str:
    return '<span class="swatch" style="background:rgb({},{},{})"></span>'.format(*map(int, color))


def _percent(value: float, unit: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f}" + ("<i>%</i>" if unit else "")


def _gain(value: float) -> str:
    if math.isnan(value):
        return "–"
    kind = "good" if value >= 0.0005 else "bad" if value <= -0.0005 else "soft"
    return f'<span class="{kind}">{100 * value:+.1f}</span>'.replace("-", "−")
