"""Lines over an axis: round numbers, and the geometry of an SVG that `templates/chart.html` draws."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 720, 256  # units of the SVG
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 600, 16, 226
_LABEL = 15  # height of a line's name; those of two lines must not lie on each other
_MOST_POINTS = 400  # of a line: more than the eye tells apart


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
      name: written at its end; empty for none.
      x, y: of the points; those whose y is NaN are left out.
      color: number of a colour, 0 to 5.
      pale: drawn thin, behind the others.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 1
    pale: bool = False

    def points(self) -> list[tuple[float, float]]:
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if not math.isnan(y)]


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines over one pair of axes.

    Attributes:
      title: heading.
      lines: at least one has a point.
      from_zero: whether the y axis begins at 0 rather than at the lowest value.
    """

    title: str
    lines: Sequence[Line]
    from_zero: bool = True

    def __bool__(self) -> bool:
        return any(line.points() for line in self.lines)

    def drawing(self) -> dict:
        """Numbers for the template: y and x ticks as (place, text), paths as (line, its d), names as (line, place)."""
        lines = [line for line in self.lines if line.points()]
        points = [point for line in lines for point in line.points()]
        values = [y for _, y in points]
        y_ticks = round_numbers(0.0 if self.from_zero else min(values), max(values))
        x_ticks = round_numbers(0.0, max(x for x, _ in points))
        last, (low, high) = max(x for x, _ in points) or 1, (y_ticks[0], y_ticks[-1])

        def place(x: float, y: float) -> tuple[float, float]:
            return _LEFT + (_RIGHT - _LEFT) * x / last, _BOTTOM - (_BOTTOM - _TOP) * (y - low) / (high - low)

        def path(line: Line) -> str:
            spots = [place(*point) for point in _thinned(line.points())]
            return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in (spots if len(spots) > 1 else spots * 2))

        named = [line for line in lines if line.name]
        ends = _apart([place(*line.points()[-1])[1] for line in named])
        return {
            "y_ticks": [(place(0, value)[1], f"{value:.4g}") for value in y_ticks],
            "x_ticks": [(place(value, low)[0], f"{value:g}") for value in x_ticks if value <= last],
            "paths": [(line, path(line)) for line in sorted(lines, key=lambda line: not line.pale)],
            "names": list(zip(named, ends, strict=True)),
        }


def round_numbers(low: float, high: float) -> list[float]:
    """About five round numbers, the first at `low` or below, the last at `high` or above."""
    largest = max(abs(low), abs(high))
    raw = (high - low if high - low > 1e-6 * largest else largest or 1.0) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def _thinned(points: list) -> list:
    """Every n-th point and the last one."""
    every = math.ceil(len(points) / _MOST_POINTS)
    return points[:-1:every] + points[-1:]


def _apart(places: list[float]) -> list[float]:
    """The same places from top to bottom, moved so that names fit between them and none leaves the drawing."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved, top = list(places), -math.inf
    for i in order:
        moved[i] = top = max(places[i], top + _LABEL)
    bottom = float(HEIGHT - 4)
    for i in reversed(order):
        moved[i] = min(moved[i], bottom)
        bottom = moved[i] - _LABEL
    return moved
