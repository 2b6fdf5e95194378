"""Pictures in rows and columns under their names: one picture, to be looked at in a document 700 to 1,000 pixels wide."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH = 1000  # pixels of a sheet
INK, SOFT, PAPER = (29, 35, 48), (90, 100, 118), (255, 255, 255)
_TEXT, _LINE, _GAP, _MARGIN = 18, 26, 10, 4  # pixels


@dataclasses.dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
      picture: uint8 [height, width, 3] RGB.
      note: a line below it; empty for none.
      sharp: enlarged without blur, as label maps and single pixels want it.
    """

    picture: np.ndarray
    note: str = ""
    sharp: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """Cells under a line that says what they are of; empty for none."""

    cells: Sequence[Cell]
    title: str = ""


def sheet(
    rows: Sequence[Row], columns: Sequence[str] = (), legend: Sequence[tuple[str, tuple[int, int, int]]] = ()
) -> np.ndarray:
    """uint8 [height, 1000, 3]: the rows under each other; all have as many cells.

    Args:
      rows: at least one.
      columns: names over the columns.
      legend: (name, RGB), explained at the bottom.
    """
    count = len(rows[0].cells)
    side = (WIDTH - 2 * _MARGIN - (count - 1) * _GAP) // count
    parts = [_line([(_left(k, side), name) for k, name in enumerate(columns)])] if columns else []
    for row in rows:
        parts += [_line([(_MARGIN, row.title)])] if row.title else []
        parts.append(_pictures(row, side))
        notes = [(_left(k, side), cell.note) for k, cell in enumerate(row.cells)]
        parts.append(_line(notes, SOFT) if any(text for _, text in notes) else _blank(_GAP))
    return np.concatenate([*parts, *_legend(legend)])


def write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, color=INK, size: int = _TEXT, anchor: str = "ls"):
    """One line of text in the font that Pillow carries; `anchor` as Pillow names it. It has Latin letters alone."""
    draw.text(place, text, color, ImageFont.load_default(size), anchor)


def _left(column: int, side: int) -> int:
    return _MARGIN + column * (side + _GAP)


def _blank(height: int) -> np.ndarray:
    return np.full((height, WIDTH, 3), PAPER, np.uint8)


def _line(texts: Sequence[tuple[int, str]], color=INK) -> np.ndarray:
    picture = Image.fromarray(_blank(_LINE))
    for left, text in texts:
        write(ImageDraw.Draw(picture), (left, _TEXT), text, color)
    return np.asarray(picture)


def _pictures(row: Row, side: int) -> np.ndarray:
    fitted = [_fitted(cell, side) for cell in row.cells]
    strip = _blank(max(picture.height for picture in fitted))
    for k, picture in enumerate(fitted):
        left = _left(k, side)
        strip[: picture.height, left : left + side] = np.asarray(picture)
    return strip


def _fitted(cell: Cell, side: int) -> Image.Image:
    picture = Image.fromarray(cell.picture)
    larger = side > picture.width
    how = Image.Resampling.NEAREST if larger and cell.sharp else Image.Resampling.LANCZOS
    return picture.resize((side, max(round(picture.height * side / picture.width), 1)), how)


def _legend(legend: Sequence[tuple[str, tuple[int, int, int]]]) -> list[np.ndarray]:
    """Lines of swatches with names, broken where the sheet ends."""
    lines, left = [], WIDTH
    for name, color in legend:
        width = 30 + round(ImageFont.load_default(_TEXT).getlength(name))
        if left + width > WIDTH - _MARGIN:
            lines.append(Image.fromarray(_blank(_LINE)))
            left = _MARGIN
        draw = ImageDraw.Draw(lines[-1])
        draw.rectangle((left, 5, left + 16, 21), tuple(color), SOFT)
        write(draw, (left + 23, _TEXT), name)
        left += width + 18
    return [np.asarray(line) for line in lines]
