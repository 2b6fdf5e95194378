"""What a search found, kept as it comes (so that it can go on), and shown as a table and a heat map."""

import csv
import json
import os
import pathlib
from typing import Any

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing, unwritable

CELL, LINE, LEAST_WIDTH = (64, 32), 18, 360  # of the heat map, pixels
UNTRIED = (235, 235, 235)


class SearchLog:
    """Counts by (setting, picture id), each appended to a file of JSON lines; a line cut short is dropped."""

    def __init__(self, path: str | os.PathLike, about: dict):
        self._found: dict = {}
        path = pathlib.Path(path)
        lines = path.read_text().splitlines() if path.exists() else []
        if lines and _parsed(lines[0]) != about:
            raise UserError(
                f"search log {path}: it belongs to a search with {lines[0]}, expected {json.dumps(about)}; "
                "name another output folder or remove the file."
            )
        records = [record for record in map(_parsed, lines[1:]) if record]
        for setting, picture, numbers in records:
            self._found[tuple(setting), picture] = np.array(numbers)
        with replacing(path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in [about, *records]))
        self._path, self._file = path, open(path, "ab", buffering=0)

    def add(self, setting: tuple, picture: str, numbers: np.ndarray) -> None:
        self._found[tuple(setting), picture] = numbers
        try:
            self._file.write(json.dumps([list(setting), picture, numbers.tolist()]).encode() + b"\n")
        except OSError as error:
            raise unwritable(self._path, error) from error

    def __contains__(self, key) -> bool:
        return (tuple(key[0]), key[1]) in self._found

    def __getitem__(self, key) -> np.ndarray:
        return self._found[tuple(key[0]), key[1]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def _parsed(line: str):
    try:
        return json.loads(line)
    except ValueError:
        return None


def write_table(path: str | os.PathLike, rows) -> None:
    """CSV of `search.Row`s: setting, mIoU in %, pictures it was tried on."""
    with replacing(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["w1", "sigma_alpha", "sigma_beta", "w2", "mean_iou_percent", "pictures"])
        writer.writerows([*row.setting, f"{100 * row.mean_iou:.3f}", row.pictures] for row in rows)


def write_heat_map(path: str | os.PathLike, rows) -> None:
    """PNG of `search.Row`s: sigma_alpha across, sigma_beta down, in each cell the best mIoU (%) over w1 and w2.

    Cells run from dark (lowest) to bright (highest); those in brackets were dropped before all pictures were seen, grey
    ones were not tried. The picture says so itself.
    """
    from PIL import Image, ImageDraw

    best: dict[tuple, Any] = {}
    for row in rows:
        cell = row.setting[1:3]
        if cell not in best or (row.pictures, row.mean_iou) > (best[cell].pictures, best[cell].mean_iou):
            best[cell] = row
    alphas, betas = (sorted(set(values)) for values in zip(*best, strict=True))
    most = max(row.pictures for row in rows)
    low, high = min(row.mean_iou for row in best.values()), max(row.mean_iou for row in best.values())
    title = [
        f"mIoU in % after the CRF on {most} pictures, the best over w1 and w2",
        "across: sigma_alpha, pixels; down: sigma_beta, grey levels",
    ]
    notes = ["grey: not tried, as the search follows the best settings", "in brackets: dropped before all pictures were seen"]
    top, width = LINE * (len(title) + 1), max((len(alphas) + 1) * CELL[0], LEAST_WIDTH)
    picture = Image.new("RGB", (width, top + (len(betas) + 1) * CELL[1] + LINE * (len(notes) + 1)), "white")
    draw = ImageDraw.Draw(picture)
    for place, line in enumerate(title):
        draw.text((8, 8 + place * LINE), line, fill="black")
    for place, line in enumerate(notes):
        draw.text((8, picture.height + (place - len(notes)) * LINE - 8), line, fill="black")
    for x, alpha in enumerate(alphas, 1):
        draw.text((x * CELL[0] + 8, top + 10), f"{alpha:g}", fill="black")
    for y, beta in enumerate(betas, 1):
        draw.text((8, top + y * CELL[1] + 10), f"{beta:g}", fill="black")
        for x, alpha in enumerate(alphas, 1):
            _draw_cell(draw, x * CELL[0], top + y * CELL[1], best.get((alpha, beta)), most, low, high)
    with replacing(path) as partial:
        picture.save(partial, format="PNG")


def _draw_cell(draw, left: int, top: int, row, most: int, low: float, high: float) -> None:
    box = [left, top, left + CELL[0] - 2, top + CELL[1] - 2]
    if row is None:
        draw.rectangle(box, fill=UNTRIED)
        return
    warm = (row.mean_iou - low) / max(high - low, 1e-9)
    draw.rectangle(box, fill=(int(70 + 185 * warm), int(40 + 190 * warm), int(110 + 40 * warm)))
    text = f"{100 * row.mean_iou:.2f}" if row.pictures == most else f"({100 * row.mean_iou:.2f})"
    draw.text((left + 6, top + 10), text, fill="black" if warm > 0.4 else "white")
