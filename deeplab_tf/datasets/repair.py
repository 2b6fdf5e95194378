"""A repaired copy of a data set, in the list layout; the original is never touched."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import shutil
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageOps

from deeplab_tf.datasets.checks import CheckReport
from deeplab_tf.datasets.colors import mask_colors
from deeplab_tf.datasets.label_tables import Label
from deeplab_tf.datasets.mapping import unknown_values
from deeplab_tf.datasets.masks import read_mask_values
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.sample_check import Checked, Finding, count_values, hex_color, known_values, palette_disagrees
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import check_writable, replacing, unwritable


@dataclasses.dataclass
class Repaired:
    """What became of a copy: samples that were kept, or left out and why, and pixels that the mapping made void."""

    kept: int = 0
    left_out: list[Finding] = dataclasses.field(default_factory=list)
    void_pixels: int = 0
    void_masks: int = 0

    def __str__(self) -> str:
        void = f", {self.void_pixels:,} pixels of {self.void_masks:,} masks made void" if self.void_pixels else ""
        return f"{self.kept:,} pictures kept, {len(self.left_out):,} left out{void}"


def write_repaired(
    report: CheckReport, data_dir: str | os.PathLike, out: str | os.PathLike, mapping: Mapping[int, int] | None = None
) -> Repaired:
    """Writes out/images, out/masks and out/SPLIT.txt with all that can be mended.

    A file without a finding is copied byte for byte. Mended: EXIF orientation, CMYK, 16 bits, palettes in another order, ids
    listed twice (the first stays); values that the label table does not hold become what `mapping` says, or void. Ids that it
    holds stay unless `mapping` names them. Left out: what does not decode, masks unlike their picture in size, and masks with
    colours that are no class.

    Args:
      report: of the check.
      data_dir: the folder that was checked.
      out: a new or empty folder.
      mapping: value -> train id, as `mapping.parse_mapping` gives it. Where a class has 255 and nothing is void yet, void gets
        a value of no class, and the copy's labels.txt says which.

    Raises:
      UserError: `out` is not empty or cannot be written, no value is free for void, or a split keeps no picture; nothing is
        left there then.
    """
    check_target(data_dir, out)
    out, labels = pathlib.Path(out).resolve(), pathlib.Path(data_dir) / "labels.txt"
    everything = [one for members in report.checked.values() for one in members]
    unknown = dict.fromkeys(unknown_values(report.spec, everything), report.spec.ignore_label)
    mapping = unknown | dict(mapping or {})
    spec, done = _with_void(report.spec, mapping), False
    copy = _Copy(spec, mapping, out)
    try:
        for split, members in report.checked.items():
            copy.write_split(split, members)
        if labels.is_file():
            _write(out / "labels.txt", _label_text(labels.read_bytes(), report.spec, spec))
        done = True
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        if not done:
            shutil.rmtree(out, ignore_errors=True)  # it was empty or new; half a copy would pass for a whole one
    return copy.result


def check_target(data_dir: str | os.PathLike, out: str | os.PathLike) -> None:
    """Refuses a folder for the repaired copy before anything is computed for it.

    Raises:
      UserError: `out` is not empty, is the data folder, or cannot be made or written.
    """
    path = pathlib.Path(out).resolve()
    check_writable(path)
    if path == pathlib.Path(data_dir).resolve() or (path.exists() and any(path.iterdir())):
        raise UserError(f"--fix={out}: not empty, expected a new folder for the repaired copy.")


def _with_void(spec: DatasetSpec, mapping: dict[int, int]) -> DatasetSpec:
    """The label table of the copy: with a value for void where the mapping makes void and the table has none."""
    if spec.void_id is not None or spec.ignore_label not in mapping.values():
        return spec
    free = next((value for value in range(254, -1, -1) if value not in spec.train_id_of), None)
    if free is None:
        raise UserError("--fix: void has no value left, as classes have 0 to 255; name a larger one in labels.txt.")
    return dataclasses.replace(spec, labels=(*spec.labels, Label("void", free, spec.ignore_label, spec.void_color)))


def _label_text(text: bytes, before: DatasetSpec, after: DatasetSpec) -> bytes:
    """labels.txt with the lines that the copy's table has more."""
    more = "".join(f"{label.id}: {label.name}\n" for label in after.labels[len(before.labels) :]).encode()
    return text + b"\n" + more if more and not text.endswith(b"\n") else text + more


class _Copy:
    """Writes samples into the copy, and keeps count."""

    def __init__(self, spec: DatasetSpec, mapping: dict[int, int], out: pathlib.Path):
        self.spec, self.mapping, self.out = spec, mapping, out
        self.result = Repaired()

    def write_split(self, split: str, members: list[Checked]) -> None:
        lines, seen, left_out = [], set(), []
        for one in members:
            sample = one.sample
            if sample.id in seen:
                left_out.append(Finding(sample.image, f"left out, id {sample.id!r} was listed before"))
                continue
            seen.add(sample.id)
            try:
                files = self._mended_files(one, split)
            except (UserError, OSError, ValueError) as error:
                left_out.append(Finding(sample.image, f"left out ({' '.join(str(error).split()).rstrip('.')})"))
                continue
            for path, data in files.items():
                _write(self.out / path, data)
            lines.append("\t".join(files) + "\n")
            self._count_void(one)
        self.result.left_out += left_out
        self.result.kept += len(lines)
        if not lines:
            raise UserError(
                f"--fix={self.out}: no picture of split {split!r} could be kept, expected at least one; mend them "
                f"first: {left_out[0]}."
            )
        _write(self.out / f"{split}.txt", "".join(lines).encode())

    def _mended_files(self, one: Checked, split: str) -> dict[str, bytes]:
        """Where picture and mask are to lie, with their contents."""
        sample, spec = one.sample, self.spec
        label = None if sample.label is None else mended_label(spec, sample.label, self.mapping)
        image = read_image(sample.image)
        if label is not None and label.shape != image.shape[:2]:
            image = _upright(sample.image)
            if label.shape != image.shape[:2]:
                raise ValueError(f"the mask has {label.shape[1]}x{label.shape[0]} pixels, its picture does not")
        if _has_finding(one, sample.image):
            picture, ending = _png(Image.fromarray(image)), ".png"
        else:
            picture, ending = pathlib.Path(sample.image).read_bytes(), pathlib.PurePath(sample.image).suffix
        files = {f"images/{split}/{sample.id}{ending}": picture}
        if label is not None:
            files[f"masks/{split}/{sample.id}.png"] = (
                _png(_label_picture(spec, label)) if self._is_new(one) else pathlib.Path(sample.label).read_bytes()
            )
        return files

    def _is_new(self, one: Checked) -> bool:
        """Whether the mask's file must be written anew: it had a finding, is mapped, or is read by a name that it loses."""
        mask = one.sample.label
        return _has_finding(one, mask) or bool(self.mapping.keys() & one.values) or mask.endswith("TrainIds.png")

    def _count_void(self, one: Checked) -> None:
        void = {value for value, train_id in self.mapping.items() if train_id == self.spec.ignore_label}
        made = sum(one.values[value] for value in void - {self.spec.void_id})
        self.result.void_pixels += made
        self.result.void_masks += made > 0


def _write(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(data)


def _png(image: Image.Image) -> bytes:
    contents = io.BytesIO()
    image.save(contents, "PNG")
    return contents.getvalue()


def _has_finding(one: Checked, path: str) -> bool:
    return any(finding.file == path for finding in one.findings)


def _upright(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def mended_label(spec: DatasetSpec, path: str, mapping: Mapping[int, int]) -> np.ndarray:
    """uint8 [height, width] train ids of a mask that may not keep to the label table.

    Values that neither the table nor the mapping knows become void.

    Raises:
      ValueError: it holds a colour that is no class: nothing says what it was meant to be.
    """
    values = read_mask_values(path)
    if values.ndim == 2 and palette_disagrees(spec, path):
        with Image.open(path) as image:
            values = np.asarray(image.convert("RGB"))
    if values.ndim == 3:
        return _label_of_colors(spec, path, values)
    table = np.full(65536, spec.ignore_label, np.uint8)
    for value, train_id in (known_values(spec, path) | dict(mapping)).items():
        table[value] = train_id
    return table[values]


def _label_of_colors(spec: DatasetSpec, path: str, values: np.ndarray) -> np.ndarray:
    unknown = sorted(set(count_values(values)) - set(spec.train_id_of_color))
    if unknown:
        raise ValueError(f"{path}: colour {hex_color(unknown[0])} is no class")
    keys = values.astype(np.int32) @ (65536, 256, 1)
    label = np.full(keys.shape, spec.ignore_label, np.uint8)
    for (red, green, blue), train_id in spec.train_id_of_color.items():
        label[keys == red << 16 | green << 8 | blue] = train_id
    return label


def _label_picture(spec: DatasetSpec, label: np.ndarray) -> Image.Image:
    """As the ids of the label table, with its colours as palette."""
    ids = np.zeros(256, np.uint16)
    ids[: spec.num_classes] = spec.ids
    if spec.void_id is not None:
        ids[spec.ignore_label] = spec.void_id
    elif (label == spec.ignore_label).any():
        raise ValueError("void has no value, as a class has 255: name one in labels.txt, such as `254: void`")
    values = ids[label]
    if values.max(initial=0) > 255:
        return Image.fromarray(values)
    image = Image.fromarray(values.astype(np.uint8), "L")
    image.putpalette(mask_colors(spec).tobytes())
    return image
