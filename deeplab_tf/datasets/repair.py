"""A repaired copy of a data set, in the list layout; the original is never touched."""

from __future__ import annotations

import os
import pathlib
import shutil

import numpy as np
from PIL import Image, ImageOps

from deeplab_tf.datasets import checks
from deeplab_tf.datasets.checks import Checked, CheckReport, Finding
from deeplab_tf.datasets.masks import read_mask_values
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError


def write_repaired(report: CheckReport, data_dir: str | os.PathLike, out: str | os.PathLike) -> list[Finding]:
    """Writes out/images, out/masks and out/SPLIT.txt with all that can be mended; returns what was left out and why.

    Mended: EXIF orientation, CMYK, 16 bits, masks in colours, palettes in another order, values by the proposed mapping,
    ids listed twice (the first stays). Left out: what does not decode, and masks unlike their picture in size.

    Raises:
      UserError: `out` is not empty, lies in the data folder, or cannot be written.
    """
    out, data_dir = pathlib.Path(out).resolve(), pathlib.Path(data_dir).resolve()
    if out == data_dir or (out.exists() and any(out.iterdir())):
        raise UserError(f"--fix={out}: not empty, expected a new folder for the repaired copy.")
    left_out = []
    try:
        for split, members in report.checked.items():
            left_out += _write_split(report, split, members, out)
        if (data_dir / "labels.txt").is_file():
            shutil.copyfile(data_dir / "labels.txt", out / "labels.txt")
    except OSError as error:
        raise UserError(f"--fix={out}: cannot be written ({error}).") from error
    return left_out


def _write_split(report: CheckReport, split: str, members: list[Checked], out: pathlib.Path) -> list[Finding]:
    lines, left_out, seen = [], [], set()
    for folder in ("images", "masks"):
        (out / folder / split).mkdir(parents=True, exist_ok=True)
    for one in members:
        sample = one.sample
        if sample.id in seen:
            left_out.append(Finding(sample.image, f"left out, id {sample.id!r} was listed before"))
            continue
        seen.add(sample.id)
        try:
            line = _write_sample(report, one, out, split)
        except (UserError, OSError, ValueError) as error:
            left_out.append(Finding(sample.image, f"left out ({' '.join(str(error).split()).rstrip('.')})"))
        else:
            lines.append(line)
    if lines:
        (out / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    return left_out


def _write_sample(report: CheckReport, one: Checked, out: pathlib.Path, split: str) -> str:
    """Writes picture and mask; returns their line of the list."""
    sample = one.sample
    label = None if sample.label is None else mended_label(report.spec, sample.label, report.mapping)
    image = read_image(sample.image)
    if label is not None and label.shape != image.shape[:2]:
        image = _upright(sample.image)
        if label.shape != image.shape[:2]:
            raise ValueError(f"the mask has {label.shape[1]}x{label.shape[0]} pixels, its picture does not")
    name = pathlib.PurePath(sample.image).name
    if sample.image.lower().endswith((".jpg", ".jpeg")) and not _touched(one):
        shutil.copyfile(sample.image, out / "images" / split / name)
    else:
        name = f"{sample.id}.png"
        Image.fromarray(image).save(out / "images" / split / name)
    if label is None:
        return f"images/{split}/{name}\n"
    _save_label(report.spec, label, out / "masks" / split / f"{sample.id}.png")
    return f"images/{split}/{name}\tmasks/{split}/{sample.id}.png\n"


def _touched(one: Checked) -> bool:
    """Whether the picture, not only the mask, has a finding."""
    return any(finding.file == one.sample.image for finding in one.findings)


def _upright(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def mended_label(spec: DatasetSpec, path: str, mapping: dict[int, int]) -> np.ndarray:
    """uint8 [height, width] train ids of a mask that may not keep to the label table; unknown values become void."""
    values = read_mask_values(path)
    if values.ndim == 2 and checks.palette_disagrees(spec, path):
        with Image.open(path) as image:
            values = np.asarray(image.convert("RGB"))
    if values.ndim == 3:
        keys = values.astype(np.int32) @ (65536, 256, 1)
        label = np.full(keys.shape, spec.ignore_label, np.uint8)
        for (red, green, blue), train_id in spec.train_id_of_color.items():
            label[keys == red << 16 | green << 8 | blue] = train_id
        return label
    table = np.full(65536, spec.ignore_label, np.uint8)
    for value, train_id in (checks.known_values(spec, path) | mapping).items():
        table[value] = train_id
    return table[values]


def _save_label(spec: DatasetSpec, label: np.ndarray, path: pathlib.Path) -> None:
    """As the ids of the label table, with its colours as palette."""
    ids = np.full(256, spec.ignore_label, np.uint16)
    colors = np.zeros((256, 3), np.uint8)
    colors[spec.ignore_label] = spec.void_color
    for row in reversed(spec.labels):
        if row.id >= 0:
            ids[row.train_id] = row.id
    values = ids[label]
    if values.max(initial=0) > 255:
        Image.fromarray(values).save(path)
        return
    for row in spec.labels:
        if 0 <= row.id < 256:
            colors[row.id] = row.color
    image = Image.fromarray(values.astype(np.uint8), "L")
    image.putpalette(colors.tobytes())
    image.save(path)
