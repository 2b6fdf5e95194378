"""The picture of a run: its loss, learning rate and evaluations over the steps, drawn from train.jsonl."""

from __future__ import annotations

import json
import math
import pathlib

import cv2
import numpy as np

from deeplab_tf.whole_files import replacing

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 230, 74, 20, 34, 30  # pixels
_INK, _GRID, _PALE, _STRONG = (60, 60, 60), (228, 228, 228), (214, 190, 160), (160, 90, 20)  # BGR
_SMOOTH = 0.9  # weight of the past in the strong line


def draw_curves(log_file: pathlib.Path, out: pathlib.Path) -> pathlib.Path | None:
    """Writes a PNG with a panel each for the data loss (pale: as logged, strong: smoothed), the learning rate and, where there
    are evaluations, the mean IoU. Returns `out`, None where there is no log or one of fewer than two lines.

    Raises:
      UserError: the disk refuses; what was there stays.
    """
    if not log_file.exists():
        return None
    lines = [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if "loss" in line]
    evaluations = [line for line in lines if "mean_iou" in line]
    if len(steps) < 2:
        return None
    last = max(line["step"] for line in lines)
    at, loss = [line["step"] for line in steps], [line["loss"] for line in steps]
    panels = [
        _panel("data loss", last, [(at, loss, _PALE), (at, _smoothed(loss), _STRONG)]),
        _panel("learning rate", last, [(at, [line["learning_rate"] for line in steps], _STRONG)]),
    ]
    if evaluations:
        percent = [100 * line["mean_iou"] for line in evaluations]
        panels.append(_panel("mean IoU of the evaluations, %", last, [([e["step"] for e in evaluations], percent, _STRONG)]))
    png = cv2.imencode(".png", np.concatenate(panels))[1].tobytes()
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


def _panel(title: str, last: int, curves: list[tuple[list[int], list[float], tuple[int, int, int]]]) -> np.ndarray:
    """uint8 [230, 960, 3] BGR: axes with round numbers, a line for each (steps, values, colour)."""
    picture = np.full((_PANEL, _WIDTH, 3), 255, np.uint8)
    ticks = _round_numbers(0.0, max(max(values) for _, values, _ in curves) or 1.0)  # an axis even where all is 0
    height, width = _PANEL - _TOP - _BOTTOM, _WIDTH - _LEFT - _RIGHT

    def x(step):
        return _LEFT + width * step / last

    def y(value):
        return _TOP + height * (1 - value / ticks[-1])

    for value in ticks:
        cv2.line(picture, (_LEFT, round(y(value))), (_WIDTH - _RIGHT, round(y(value))), _GRID, 1)
        _write(picture, f"{value:.3g}", 8, y(value) + 4)
    for step in _round_numbers(0, last):
        if step <= last:
            _write(picture, f"{step:g}", x(step) - 4 * len(f"{step:g}"), _PANEL - 10)
    for steps, values, color in curves:
        points = np.array([(x(s), y(v)) for s, v in zip(steps, values, strict=True)])
        cv2.polylines(picture, [np.round(points * 16).astype(np.int32)], False, color, 2, cv2.LINE_AA, shift=4)
    _write(picture, title, _LEFT, 20, 0.5)
    return picture


def _write(picture, text: str, x: float, y: float, size: float = 0.42) -> None:
    cv2.putText(picture, text, (round(x), round(y)), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)


def _round_numbers(low: float, high: float) -> list[float]:
    """About five round numbers, the last one at `high` or above."""
    raw = max(high - low, 1e-12) / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    return [low + step * i for i in range(math.ceil((high - low) / step - 1e-9) + 1)]
