"""A repaired copy of a data set, in the list layout; the original is never touched."""

from __future__ import annotations

import io
import os
import pathlib
import shutil

import numpy as np
from PIL import Image, ImageOps

from deeplab_tf.datasets import checks
from deeplab_tf.datasets.checks import Checked, CheckReport, Finding
from deeplab_tf.datasets.colors import mask_colors
from deeplab_tf.datasets.masks import read_mask_values
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import check_writable, replacing, unwritable


def write_repaired(report: CheckReport, data_dir: str | os.PathLike, out: str | os.PathLike) -> list[Finding]:
    """Writes out/images, out/masks and out/SPLIT.txt with all that can be mended; returns what was left out and why.

    Mended: EXIF orientation, CMYK, 16 bits, masks in colours, palettes in another order, values by the proposed mapping,
    ids listed twice (the first stays). Left out: what does not decode, masks unlike their picture in size, and masks with
    colours that are no class.

    Raises:
      UserError: `out` is not empty or cannot be written; nothing is left there then.
    """
    check_target(data_dir, out)
    out, labels, left_out = pathlib.Path(out).resolve(), pathlib.Path(data_dir) / "labels.txt", []
    done = False
    try:
        for split, members in report.checked.items():
            left_out += _write_split(report, split, members, out)
        if labels.is_file():
            _write(out / "labels.txt", labels.read_bytes())
        done = True
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        if not done:
            shutil.rmtree(out, ignore_errors=True)  # it was empty or new; half a copy would pass for a whole one
    return left_out


def check_target(data_dir: str | os.PathLike, out: str | os.PathLike) -> None:
    """Refuses a folder for the repaired copy before anything is computed for it.

    Raises:
      UserError: `out` is not empty, is the data folder, or cannot be made or written.
    """
    path = pathlib.Path(out).resolve()
    check_writable(path)
    if path == pathlib.Path(data_dir).resolve() or (path.exists() and any(path.iterdir())):
        raise UserError(f"--fix={out}: not empty, expected a new folder for the repaired copy.")


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
            files = _mended_files(report, one, split)
        except (UserError, OSError, ValueError) as error:
            left_out.append(Finding(sample.image, f"left out ({' '.join(str(error).split()).rstrip('.')})"))
            continue
        for path, data in files.items():
            _write(out / path, data)
        lines.append("\t".join(files) + "\n")
    if lines:
        _write(out / f"{split}.txt", "".join(lines).encode())
    return left_out


def _write(path: pathlib.Path, data: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(data)


def _mended_files(report: CheckReport, one: Checked, split: str) -> dict[str, bytes]:
    """Where picture and mask are to lie, with their contents."""
    sample = one.sample
    label = None if sample.label is None else mended_label(report.spec, sample.label, report.mapping)
    image = read_image(sample.image)
    if label is not None and label.shape != image.shape[:2]:
        image = _upright(sample.image)
        if label.shape != image.shape[:2]:
            raise ValueError(f"the mask has {label.shape[1]}x{label.shape[0]} pixels, its picture does not")
    name = pathlib.PurePath(sample.image).name
    if sample.image.lower().endswith((".jpg", ".jpeg")) and not _touched(one):
        picture = pathlib.Path(sample.image).read_bytes()
    else:
        name, picture = f"{sample.id}.png", _png(Image.fromarray(image))
    files = {f"images/{split}/{name}": picture}
    if label is not None:
        files[f"masks/{split}/{sample.id}.png"] = _png(_label_picture(report.spec, label))
    return files


def _png(image: Image.Image) -> bytes:
    contents = io.BytesIO()
    image.save(contents, "PNG")
    return contents.getvalue()


def _touched(one: Checked) -> bool:
    """Whether the picture, not only the mask, has a finding."""
    return any(finding.file == one.sample.image for finding in one.findings)


def _upright(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def mended_label(spec: DatasetSpec, path: str, mapping: dict[int, int]) -> np.ndarray:
    """uint8 [height, width] train ids of a mask that may not keep to the label table.

    Values without a proposal become void.

    Raises:
      ValueError: it holds a colour that is no class: nothing says what it was meant to be.
    """
    values = read_mask_values(path)
    if values.ndim == 2 and checks.palette_disagrees(spec, path):
        with Image.open(path) as image:
            values = np.asarray(image.convert("RGB"))
    if values.ndim == 3:
        unknown = sorted(set(checks.count_values(values)) - set(spec.train_id_of_color))
        if unknown:
            raise ValueError(f"{path}: colour {checks.hex_color(unknown[0])} is no class")
        keys = values.astype(np.int32) @ (65536, 256, 1)
        label = np.full(keys.shape, spec.ignore_label, np.uint8)
        for (red, green, blue), train_id in spec.train_id_of_color.items():
            label[keys == red << 16 | green << 8 | blue] = train_id
        return label
    table = np.full(65536, spec.ignore_label, np.uint8)
    for value, train_id in (checks.known_values(spec, path) | mapping).items():
        table[value] = train_id
    return table[values]


def _label_picture(spec: DatasetSpec, label: np.ndarray) -> Image.Image:
    """As the ids of the label table, with its colours as palette."""
    ids = np.full(256, spec.ignore_label, np.uint16)
    for row in reversed(spec.labels):
        if row.id >= 0:
            ids[row.train_id] = row.id
    values = ids[label]
    if values.max(initial=0) > 255:
        return Image.fromarray(values)
    image = Image.fromarray(values.astype(np.uint8), "L")
    image.putpalette(mask_colors(spec).tobytes())
    return image
