"""The curves of a run, read from train.jsonl: loss, learning rate and evaluations over the steps; and their picture."""

from __future__ import annotations

import contextlib
import json
import pathlib

import cv2
import numpy as np

from deeplab_tf.pages.chart import Chart, Line, round_numbers
from deeplab_tf.whole_files import replacing

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 230, 74, 20, 34, 30  # pixels
_INK, _GRID, _PALE, _STRONG = (60, 60, 60), (228, 228, 228), (214, 190, 160), (160, 90, 20)  # BGR
_SMOOTH = 0.9  # weight of the past in the strong line


def read_curves(log_file: pathlib.Path) -> list[Chart]:
    """A chart each for the data loss (pale: as logged, strong: smoothed), the learning rate and, where there are
    evaluations, the mean IoU; none where there is no log or one of fewer than two lines."""
    lines = []
    with contextlib.suppress(OSError):
        for text in log_file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # a line that is being written
                lines.append(json.loads(text))
    steps = [line for line in lines if "loss" in line]
    evaluations = [line for line in lines if "mean_iou" in line]
    if len(steps) < 2:
        return []
    at, loss = [line["step"] for line in steps], [line["loss"] for line in steps]
    charts = [
        Chart("data loss", [Line("", at, loss, pale=True), Line("", at, _smoothed(loss))]),
        Chart("learning rate", [Line("", at, [line["learning_rate"] for line in steps])]),
    ]
    if evaluations:
        percent = [100 * line["mean_iou"] for line in evaluations]
        charts.append(Chart("mean IoU of the evaluations, %", [Line("", [line["step"] for line in evaluations], percent)]))
    return charts


def draw_curves(log_file: pathlib.Path, out: pathlib.Path) -> pathlib.Path | None:
    """Writes the curves of a log as a PNG. Returns `out`, None where the log holds none.

    Raises:
      UserError: the disk refuses; what was there stays.
    """
    charts = [chart for chart in read_curves(log_file) if chart]
    if not charts:
        return None
    last = max(line.x[-1] for chart in charts for line in chart.lines)
    png = cv2.imencode(".png", np.concatenate([_panel(chart, last) for chart in charts]))[1].tobytes()
    with replacing(out) as partial:
        partial.write_bytes(png)
    return out


def _smoothed(values: list[float]) -> list[float]:
    """Exponential average, without the bias of its start."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = _SMOOTH * total + (1 - _SMOOTH) * value, _SMOOTH * weight + 1 - _SMOOTH
        smooth.append(total / weight)
    return smooth


def _panel(chart: Chart, last: int) -> np.ndarray:
    """uint8 [230, 960, 3] BGR: axes with round numbers and the chart's lines over the steps 0..last."""
    picture = np.full((_PANEL, _WIDTH, 3), 255, np.uint8)
    ticks = round_numbers(0.0, max(value for line in chart.lines for _, value in line.points()))
    height, width = _PANEL - _TOP - _BOTTOM, _WIDTH - _LEFT - _RIGHT

    def x(step):
        return _LEFT + width * step / last

    def y(value):
        return _TOP + height * (1 - value / ticks[-1])

    for value in ticks:
        cv2.line(picture, (_LEFT, round(y(value))), (_WIDTH - _RIGHT, round(y(value))), _GRID, 1)
        _write(picture, f"{value:.3g}", 8, y(value) + 4)
    for step in round_numbers(0, last):
        if step <= last:
            _write(picture, f"{step:g}", x(step) - 4 * len(f"{step:g}"), _PANEL - 10)
    for line in chart.lines:
        points = np.array([(x(step), y(value)) for step, value in line.points()])
        color = _PALE if line.pale else _STRONG
        cv2.polylines(picture, [np.round(points * 16).astype(np.int32)], False, color, 2, cv2.LINE_AA, shift=4)
    _write(picture, chart.title, _LEFT, 20, 0.5)
    return picture


def _write(picture, text: str, x: float, y: float, size: float = 0.42) -> None:
    cv2.putText(picture, text, (round(x), round(y)), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
