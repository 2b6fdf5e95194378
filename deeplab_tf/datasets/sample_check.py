"""Looks at one picture and its mask: what is broken, lossy, or outside the label table."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable

import numpy as np
from PIL import Image, UnidentifiedImageError

from deeplab_tf.datasets.masks import read_mask_values
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import Sample, missing_file
from deeplab_tf.datasets.sequences import thumbnail
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

# An interpolated mask climbs from one id to the next over pixels in between; in drawn masks such pixels are rare.
_MAX_RAMP_SHARE, _MIN_RAMP_PIXELS = 0.2, 20
_ORIENTATION = 0x0112  # EXIF tag


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing wrong with one file; printed as "FILE: text"."""

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


@dataclasses.dataclass
class Checked:
    """What is known of one sample after its files were looked at."""

    sample: Sample
    findings: list[Finding]
    values: Counter = dataclasses.field(default_factory=Counter)  # value or colour in the mask file -> pixels
    histogram: np.ndarray | None = None  # int64 [256] by train id, where the mask can be read
    thumbnail: np.ndarray | None = None  # int16 [16, 16]


def check_sample(spec: DatasetSpec, sample: Sample) -> Checked:
    """Everything that can be said of one picture and its mask by themselves."""
    result = Checked(sample, [])
    problem = missing_file(sample)
    if problem:
        file = next(path for path in (sample.image, sample.label) if path and problem.startswith(path + ": "))
        reason = "a symbolic link that leads nowhere or in a circle" if os.path.islink(file) else None
        reason = "a folder, not a file" if os.path.isdir(file) else reason
        result.findings.append(Finding(file, reason or problem.removeprefix(file + ": ")))
        return result
    size = _check_image(sample.image, result)
    if sample.label is not None:
        _check_mask(spec, sample.label, size, result)
    return result


def _check_image(path: str, result: Checked) -> tuple[int, int] | None:
    """Notes what is wrong with a picture; returns (height, width)."""
    try:
        image = read_image(path)
        result.findings += [Finding(path, text) for text in _image_oddities(path)]
    except (UserError, OSError, UnidentifiedImageError, ValueError) as error:
        result.findings.append(Finding(path, _without(path, error)))
        return None
    result.thumbnail = thumbnail(image)
    return image.shape[:2]


def _image_oddities(path: str) -> list[str]:
    with Image.open(path) as image:
        found = []
        if image.mode == "CMYK":
            found.append("CMYK picture, its colours depend on the decoder; convert it to RGB (--fix does)")
        if image.mode.startswith("I") or _png_depth(path) == 16:
            found.append("16 bits a channel, only the upper 8 are used; convert it to 8 bits (--fix does)")
        orientation = image.getexif().get(_ORIENTATION, 1)
        if orientation not in (0, 1):
            found.append(f"EXIF orientation {orientation} is not applied; turn the pixels and drop the tag (--fix does)")
        return found


def _png_depth(path: str) -> int | None:
    with open(path, "rb") as file:
        head = file.read(26)
    return head[24] if head[:4] == b"\x89PNG" else None


def _check_mask(spec: DatasetSpec, path: str, size: tuple[int, int] | None, result: Checked) -> None:
    try:
        values = read_mask_values(path)
    except (UserError, OSError) as error:
        result.findings.append(Finding(path, _without(path, error)))
        return
    if size is not None and values.shape[:2] != size:
        got, expected = (f"{shape[1]}x{shape[0]}" for shape in (values.shape, size))
        result.findings.append(Finding(path, f"the mask has {got} pixels, its picture {expected}"))
    clear = _clear_pixels(path)
    if clear:
        text = f"{clear:,} pixels are not opaque; alpha is not read, their values count as they are"
        result.findings.append(Finding(path, text))
    result.values = count_values(values)
    known = spec.train_id_of_color if values.ndim == 3 else known_values(spec, path)
    unknown = {value: pixels for value, pixels in result.values.items() if value not in known}
    if unknown:
        shown = hex_color if values.ndim == 3 else str
        text = ", ".join(f"{shown(value)} ({pixels:,} pixels)" for value, pixels in sorted(unknown.items())[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        kind = "colours" if values.ndim == 3 else "ids"
        result.findings.append(Finding(path, f"{kind} outside the label table of {spec.name}: {text}{more}"))
    void = [value for value, train_id in known.items() if train_id == spec.ignore_label]
    if is_interpolated(values, void if values.ndim == 2 else ()):
        text = "the mask was interpolated or saved lossily (ids in between along outlines); export it again"
        result.findings.append(Finding(path, text))
    elif values.ndim == 2 and palette_disagrees(spec, path):
        text = f"palette disagrees with {spec.name}: its colours stand at other indices (--fix goes by colour)"
        result.findings.append(Finding(path, text))
    result.histogram = np.zeros(256, np.int64)
    for value, pixels in result.values.items():
        result.histogram[known.get(value, spec.ignore_label)] += pixels
    _check_empty(spec, path, result)


def _clear_pixels(path: str) -> int:
    with Image.open(path) as image:
        if image.mode not in ("LA", "RGBA"):
            return 0
        return int(np.count_nonzero(np.asarray(image.getchannel("A")) < 255))


def _check_empty(spec: DatasetSpec, path: str, result: Checked) -> None:
    present = np.flatnonzero(result.histogram)
    if list(present) == [spec.ignore_label]:
        result.findings.append(Finding(path, "empty mask: every pixel is void"))
    elif list(present) == [0] and spec.class_names[0] == "background" and not spec.name.startswith("coco"):
        result.findings.append(Finding(path, "empty mask: every pixel is background"))


def known_values(spec: DatasetSpec, path: str) -> dict[int, int]:
    """Value -> train id of an index mask, by its file name."""
    if path.endswith("TrainIds.png"):
        return {train_id: train_id for train_id in [*range(spec.num_classes), spec.ignore_label]}
    return spec.train_id_of


def count_values(values: np.ndarray) -> Counter:
    """Pixels of every value, or of every (r, g, b)."""
    if values.ndim == 2:
        counts = np.bincount(values.ravel())
        return Counter({int(value): int(counts[value]) for value in np.flatnonzero(counts)})
    keys, counts = np.unique(values.astype(np.int32) @ (65536, 256, 1), return_counts=True)
    return Counter({(int(k) >> 16, int(k) >> 8 & 255, int(k) & 255): int(n) for k, n in zip(keys, counts, strict=True)})


def is_interpolated(values: np.ndarray, void: Iterable[int] = ()) -> bool:
    """Whether changes of value mostly come as ramps: a, something between a and b, b on neighbouring pixels.

    Void in between is no ramp but an outline.
    """
    planes = values[..., None] if values.ndim == 2 else values
    is_class = ~np.isin(planes, list(void))
    ramps = changes = 0
    for axis in (0, 1):
        step = np.sign(np.diff(planes.astype(np.int32), axis=axis))
        before, after = (step[:-1], step[1:]) if axis == 0 else (step[:, :-1], step[:, 1:])
        between = is_class[1:-1] if axis == 0 else is_class[:, 1:-1]
        ramps += int(np.count_nonzero((before == after) & (before != 0) & between))
        changes += int(np.count_nonzero(step))
    return ramps >= _MIN_RAMP_PIXELS and ramps > _MAX_RAMP_SHARE * changes


def palette_disagrees(spec: DatasetSpec, path: str) -> bool:
    """Whether the used palette entries are all colours of the data set, but of other ids than their indices."""
    with Image.open(path) as image:
        if image.mode != "P":
            return False
        palette = image.getpalette("RGB")
        used = [index for _, index in image.getcolors(256)]
    known = known_values(spec, path)
    colors = {index: tuple(palette[3 * index : 3 * index + 3]) for index in used}
    by_color = {index: spec.train_id_of_color.get(color) for index, color in colors.items()}
    if None in by_color.values():
        return False  # a palette of its own (greys, random colours) says nothing
    return any(known.get(index) != train_id for index, train_id in by_color.items())


def hex_color(color: tuple[int, int, int]) -> str:
    """As labels.txt writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _without(path: str, error: Exception) -> str:
    """The message without the file's name in front, on one line."""
    return " ".join(str(error).removeprefix(f"{path}: ").split()).rstrip(".")
