"""What a search found, kept as it comes (so that it can go on), and shown as a table and a heat map."""

import csv
import json
import os
import pathlib

import numpy as np
from PIL import Image, ImageDraw

from deeplab_tf.errors import UserError


class SearchLog:
    """Counts by (setting, picture id), each appended to a file of JSON lines; a line cut short is dropped."""

    def __init__(self, path: str | os.PathLike, about: dict):
        self._found: dict = {}
        path = pathlib.Path(path)
        lines = path.read_text().splitlines() if path.exists() else []
        if lines and _parsed(lines[0]) != about:
            raise UserError(f"search log {path}: it belongs to a search with {lines[0]}, expected {json.dumps(about)}; "
                            "name another output folder or remove the file.")
        records = [record for record in map(_parsed, lines[1:]) if record]
        for setting, picture, numbers in records:
            self._found[tuple(setting), picture] = np.array(numbers)
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in [about, *records]))
        os.replace(partial, path)
        self._file = open(path, "a")  # noqa: SIM115

    def add(self, setting: tuple, picture: str, numbers: np.ndarray) -> None:
        self._found[tuple(setting), picture] = numbers
        self._file.write(json.dumps([list(setting), picture, numbers.tolist()]) + "\n")
        self._file.flush()

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
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["w1", "sigma_alpha", "sigma_beta", "mean_iou_percent", "pictures"])
        writer.writerows([*row.setting, f"{100 * row.mean_iou:.3f}", row.pictures] for row in rows)
    os.replace(partial, path)


def write_heat_map(path: str | os.PathLike, rows) -> None:
    """PNG: sigma_alpha across, sigma_beta down, in each cell the best mIoU (%) over w1.

    Cells run from dark (lowest) to bright (highest); those in brackets were dropped before all pictures were seen.
    """
    alphas = sorted({row.setting.sigma_alpha for row in rows})
    betas = sorted({row.setting.sigma_beta for row in rows})
    best = {}
    for row in rows:
        cell = row.setting[1:]
        if cell not in best or (row.pictures, row.mean_iou) > (best[cell].pictures, best[cell].mean_iou):
            best[cell] = row
    most = max(row.pictures for row in rows)
    low, high = min(row.mean_iou for row in best.values()), max(row.mean_iou for row in best.values())
    wide, tall = 64, 32
    picture = Image.new("RGB", ((len(alphas) + 1) * wide, (len(betas) + 1) * tall), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((4, 2), "beta \\ alpha", fill="black")
    for x, alpha in enumerate(alphas, 1):
        draw.text((x * wide + 8, tall // 2), f"{alpha:g}", fill="black")
    for y, beta in enumerate(betas, 1):
        draw.text((8, y * tall + 10), f"{beta:g}", fill="black")
        for x, alpha in enumerate(alphas, 1):
            if (alpha, beta) not in best:
                continue
            row = best[alpha, beta]
            warm = (row.mean_iou - low) / max(high - low, 1e-9)
            colour = (int(70 + 185 * warm), int(40 + 190 * warm), int(110 + 40 * warm))
            draw.rectangle([x * wide, y * tall, (x + 1) * wide - 2, (y + 1) * tall - 2], fill=colour)
            text = f"{100 * row.mean_iou:.2f}" if row.pictures == most else f"({100 * row.mean_iou:.2f})"
            draw.text((x * wide + 6, y * tall + 10), text, fill="black" if warm > 0.4 else "white")
    partial = pathlib.Path(path).with_name(pathlib.Path(path).name + ".partial")
    picture.save(partial, format="PNG")
    os.replace(partial, path)
