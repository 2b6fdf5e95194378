"""Looks for what would spoil a training: broken files, wrong ids, lossy masks, leaks from train to val."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import tqdm
from PIL import Image, UnidentifiedImageError

from deeplab_tf.datasets import statistics
from deeplab_tf.datasets.masks import read_mask_values
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import Sample, find_samples, missing_file
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

# An interpolated mask climbs from one id to the next over pixels in between; in drawn masks such pixels are rare.
_MAX_RAMP_SHARE, _MIN_RAMP_PIXELS = 0.2, 20
# Pictures whose grey 16x16 thumbnails differ by at most so many levels of 255 on average are the same.
_NEAR_DUPLICATE_LEVELS = 1.5
_THUMBNAIL = (16, 16)
_MOST_COLORS = 20  # that a finding lists
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


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """All findings; `mapping` is the proposal for values that the label table does not hold (value -> train id)."""

    spec: DatasetSpec
    checked: dict[str, list[Checked]]
    findings: tuple[Finding, ...]
    mapping: dict[int, int]

    def summary(self) -> str:
        """How much was looked at and how much is wrong, for people."""
        pictures = sum(map(len, self.checked.values()))
        count = len(self.findings)
        found = f"{count:,} finding{'s' if count > 1 else ''}" if count else "nothing wrong found"
        return f"{found} in {pictures:,} pictures and their masks ({', '.join(self.checked)})"

    def frequencies(self) -> statistics.ClassFrequencies:
        found = [one.histogram for split in self.checked.values() for one in split if one.histogram is not None]
        return statistics.from_histograms(self.spec, np.array(found, np.int64).reshape(-1, 256))


def check_data(
    spec: DatasetSpec, data_dir: str | os.PathLike, splits: Sequence[str], threads: int | None = None
) -> CheckReport:
    """Checks every picture and mask of the splits; shows its progress on stderr.

    Raises:
      UserError: a folder or list is missing, a split unknown; all else is a finding.
    """
    listed = {split: find_samples(spec, data_dir, split) for split in splits}
    samples = [sample for members in listed.values() for sample in members]
    with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        results = pool.map(lambda sample: check_sample(spec, sample), samples)
        everything = list(tqdm.tqdm(results, total=len(samples), unit="picture", dynamic_ncols=True))
    left = iter(everything)
    checked = {split: [next(left) for _ in members] for split, members in listed.items()}
    mapping = propose_mapping(spec, everything)
    findings = [finding for one in everything for finding in one.findings]
    findings += duplicate_ids(checked) + near_duplicates(checked) + unused_classes(spec, everything, data_dir)
    findings += unnamed_colors(spec, everything, data_dir)
    if mapping:
        pairs = ", ".join(f"{value} -> {_name(spec, train_id)}" for value, train_id in sorted(mapping.items()))
        text = f"values outside the label table; proposed mapping (used by --fix): {pairs}"
        findings.append(Finding(os.fspath(data_dir), text))
    return CheckReport(spec, checked, tuple(findings), mapping)


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
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    result.thumbnail = cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.int16)
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
    result.values = count_values(values)
    known = spec.train_id_of_color if values.ndim == 3 else known_values(spec, path)
    unknown = {value: pixels for value, pixels in result.values.items() if value not in known}
    if unknown:
        shown = hex_color if values.ndim == 3 else str
        text = ", ".join(f"{shown(value)} ({pixels:,} pixels)" for value, pixels in sorted(unknown.items())[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        kind = "colours" if values.ndim == 3 else "ids"
        result.findings.append(Finding(path, f"{kind} outside the label table of {spec.name}: {text}{more}"))
    if is_interpolated(values):
        text = "the mask was interpolated or saved lossily (ids in between along outlines); export it again"
        result.findings.append(Finding(path, text))
    elif values.ndim == 2 and palette_disagrees(spec, path):
        text = f"palette disagrees with {spec.name}: its colours stand at other indices (--fix goes by colour)"
        result.findings.append(Finding(path, text))
    result.histogram = np.zeros(256, np.int64)
    for value, pixels in result.values.items():
        result.histogram[known.get(value, spec.ignore_label)] += pixels
    _check_empty(spec, path, result)


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


def is_interpolated(values: np.ndarray) -> bool:
    """Whether changes of value mostly come as ramps: a, something between a and b, b on neighbouring pixels."""
    planes = values[..., None] if values.ndim == 2 else values
    ramps = changes = 0
    for axis in (0, 1):
        step = np.sign(np.diff(planes.astype(np.int32), axis=axis))
        before, after = (step[:-1], step[1:]) if axis == 0 else (step[:, :-1], step[:, 1:])
        ramps += int(np.count_nonzero((before == after) & (before != 0)))
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


def duplicate_ids(checked: dict[str, list[Checked]]) -> list[Finding]:
    findings = []
    for split, members in checked.items():
        counts = Counter(one.sample.id for one in members)
        for one in members:
            if counts.pop(one.sample.id, 1) > 1:
                findings.append(Finding(one.sample.image, f"id {one.sample.id!r} stands more than once in split {split!r}"))
    return findings


def near_duplicates(checked: dict[str, list[Checked]]) -> list[Finding]:
    """Pictures of a later split that look the same as one of an earlier split."""
    findings, splits = [], list(checked)
    for place, split in enumerate(splits):
        for other in splits[:place]:
            findings += _pairs_alike(checked[other], checked[split], other)
    return findings


def _pairs_alike(before: list[Checked], after: list[Checked], other: str) -> Iterable[Finding]:
    before = [one for one in before if one.thumbnail is not None]
    thumbnails = np.array([one.thumbnail for one in before])
    for one in after:
        if one.thumbnail is None or not before:
            continue
        distances = np.abs(thumbnails - one.thumbnail).mean((1, 2))
        nearest = int(distances.argmin())
        if distances[nearest] <= _NEAR_DUPLICATE_LEVELS:
            yield Finding(one.sample.image, f"looks the same as {before[nearest].sample.image} of split {other!r}")


def propose_mapping(spec: DatasetSpec, checked: Iterable[Checked]) -> dict[int, int]:
    """Value -> train id for masks that do not keep to the label table; empty where all do.

    As many values as classes: in order. Values 1..K: one too high. Else what is unknown becomes void.
    """
    values, unknown = set(), set()
    for one in checked:
        if one.sample.label is not None:
            numbers = {value for value in one.values if isinstance(value, int)}
            values |= numbers
            unknown |= numbers - set(known_values(spec, one.sample.label))
    classes = sorted(values - {spec.ignore_label}) if len(values) != spec.num_classes else sorted(values)
    if not unknown:
        return {}
    if len(classes) == spec.num_classes:
        return {value: train_id for train_id, value in enumerate(classes)}
    if set(classes) <= set(range(1, spec.num_classes + 1)):
        return {value: value - 1 for value in classes}
    return dict.fromkeys(unknown, spec.ignore_label)


def unused_classes(spec: DatasetSpec, checked: Sequence[Checked], data_dir: str | os.PathLike) -> list[Finding]:
    """Masks that hold nothing but 0 and 255 although 255 is void: most likely meant as two classes."""
    values = set().union(*(one.values for one in checked))
    if values == {0, 255} and spec.train_id_of.get(255) == spec.ignore_label and spec.name == "folder":
        text = "all masks hold only 0 and 255, and 255 is void; if 255 is a class, write `255: name` into labels.txt"
        return [Finding(os.fspath(data_dir), text)]
    return []


def unnamed_colors(spec: DatasetSpec, checked: Iterable[Checked], data_dir: str | os.PathLike) -> list[Finding]:
    """Colours of a user's colour masks that labels.txt gives to no class, with their shares and the cure."""
    pixels = Counter()
    for one in checked:
        pixels.update({value: count for value, count in one.values.items() if isinstance(value, tuple)})
    unnamed = [color for color, _ in pixels.most_common() if color not in spec.train_id_of_color]
    if not unnamed or spec.name != "folder":
        return []
    listed = ", ".join(f"{hex_color(color)} ({pixels[color] / pixels.total():.2%})" for color in unnamed[:_MOST_COLORS])
    more = f" and {len(unnamed) - _MOST_COLORS:,} more" if len(unnamed) > _MOST_COLORS else ""
    text = (
        f"colours of no class in labels.txt: {listed}{more}; write each behind its class there, as in "
        f"`{spec.class_names[-1]} {hex_color(unnamed[0])}` or `void {hex_color(unnamed[-1])}` (--fix leaves these masks out)"
    )
    return [Finding(os.fspath(data_dir), text)]


def hex_color(color: tuple[int, int, int]) -> str:
    """As labels.txt writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _without(path: str, error: Exception) -> str:
    """The message without the file's name in front, on one line."""
    return " ".join(str(error).removeprefix(f"{path}: ").split()).rstrip(".")


def _name(spec: DatasetSpec, train_id: int) -> str:
    return "void" if train_id == spec.ignore_label else f"{train_id} ({spec.class_names[train_id]})"
