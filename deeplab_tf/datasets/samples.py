"""Which pictures and masks a split holds: one lister per folder layout, all ending in `Sample`s."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections import Counter

from deeplab_tf.datasets.specs import DatasetSpec, relative_to
from deeplab_tf.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")  # in capitals or not; of namesakes the first


@dataclasses.dataclass(frozen=True)
class Sample:
    """One picture with its mask; paths as text, `label` None where the split has no masks."""

    id: str
    image: str
    label: str | None


def list_samples(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> tuple[Sample, ...]:
    """The samples of a split, in the order of its list file, else by name.

    Args:
      spec: the data set.
      data_dir: its folder (see data/README.md for what lies in it). For "miniature" the scenes are rendered into
        it the first time.
      split: a split's name, or several joined by "+", such as "train+train_extra".

    Raises:
      UserError: unknown split, missing folder, list, picture or mask, an empty list, an id listed twice.
    """
    samples = find_samples(spec, data_dir, split)
    seen = set()
    for sample in samples:
        problem = missing_file(sample)
        if problem:
            raise UserError(f"{problem} (split {split!r}); add it or take the id off the list.")
        if sample.id in seen:
            raise UserError(f"{sample.image}: id {sample.id!r} stands twice in split {split!r}; list every picture once.")
        seen.add(sample.id)
    return samples


def find_samples(spec: DatasetSpec, data_dir: str | os.PathLike, split: str) -> tuple[Sample, ...]:
    """`list_samples` without a look at the files: some may be missing, ids may stand twice.

    Raises:
      UserError: unknown split, missing folder or list, an empty list.
    """
    root = pathlib.Path(data_dir)
    if spec.name == "miniature":
        from deeplab_tf.datasets import miniature

        root = miniature.ensure(root)
    if not root.is_dir():
        where = relative_to(root)
        raise UserError(f"{root}: no such data folder{where} for {spec.name}; data/README.md says how it lies on disk.")
    prepared = (root / "masks").is_dir()
    lister = _listed if prepared else _LISTERS.get(spec.name, _listed)
    return tuple(sample for name in split.split("+") for sample in _one_split(spec, lister, root, name))


def is_picture_name(name: str) -> bool:
    """Whether a file's name ends as a picture's or mask's does."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def missing_file(sample: Sample) -> str | None:
    """What to say of a sample whose picture or mask is not there; None where both are."""
    for kind, path in (("picture", sample.image), ("mask", sample.label)):
        if path is not None and not os.path.isfile(path):
            return f"{path}: the {kind} of {sample.id!r} is missing"
    return None


def _one_split(spec: DatasetSpec, lister, root: pathlib.Path, split: str) -> list[Sample]:
    if spec.splits and split not in spec.split_names and not (root / f"{split}.txt").is_file():
        raise UserError(f"Unknown split {split!r} of {spec.name}, expected one of {', '.join(spec.split_names)}.")
    samples = lister(root, split)
    if not samples:
        raise UserError(f"{root}: split {split!r} of {spec.name} is empty, expected at least one picture.")
    return samples


def read_list(path: pathlib.Path) -> list[list[str]]:
    """Lines of a list file, each split at a tab, else (two paths with known endings) at the blank between them."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of pictures ({error}).") from error
    entries = [_split_line(line.strip()) for line in lines if line.strip()]
    if not entries:
        raise UserError(f"{path}: the list is empty, expected one picture a line.")
    return entries


def _split_line(line: str) -> list[str]:
    if "\t" in line:
        return [part.strip() for part in line.split("\t")]
    # Names may hold blanks, so only a blank after an ending separates.
    pair = re.match(rf"(.*?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})) +(.+)", line, re.IGNORECASE)
    return list(pair.groups()) if pair else [line]


class _Folder:
    """Finds files by name without their endings; looks once at what is there."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        names = filter(is_picture_name, os.listdir(folder)) if folder.is_dir() else ()
        in_order = sorted(names, key=lambda name: IMAGE_SUFFIXES.index(os.path.splitext(name)[1].lower()))
        self.names = {os.path.splitext(name)[0]: name for name in reversed(in_order)}

    def path_of(self, stem: str) -> str:
        """With whichever picture ending is there; the .jpg or .png path where none is."""
        if is_picture_name(stem):
            return str(self.folder / stem)
        return str(self.folder / self.names.get(stem, stem + (".jpg" if "mage" in self.folder.name else ".png")))


def _pictures(folder: pathlib.Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; data/README.md says how the data set lies on disk.")
    there = os.listdir(folder)
    names = sorted(filter(is_picture_name, there))
    if not names:
        endings = Counter(os.path.splitext(name)[1] or "no ending" for name in there)
        found = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(5)) or "nothing"
        raise UserError(f"{folder}: found {found}, expected pictures that end in {', '.join(IMAGE_SUFFIXES)}; convert them.")
    return names


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _from_list(root: pathlib.Path, list_file: pathlib.Path, images: str, masks: str | None) -> list[Sample]:
    """Samples of a list file whose lines are ids, or `picture mask` paths below `root` (or absolute)."""
    samples, pictures, namesakes = [], _Folder(root / images), _Folder(root / masks) if masks else None
    for entry in read_list(list_file):
        if len(entry) > 1 or "/" in entry[0] or is_picture_name(entry[0]):
            image = _below(root, entry[0] if "/" in entry[0] else f"{images}/{entry[0]}")
            mask = namesakes and (_below(root, entry[1]) if len(entry) > 1 else namesakes.path_of(_stem(entry[0])))
            samples.append(Sample(_stem(entry[0]), image, mask))
        else:
            mask = namesakes and namesakes.path_of(entry[0])
            samples.append(Sample(entry[0], pictures.path_of(entry[0]), mask))
    return samples


def _below(root: pathlib.Path, path: str) -> str:
    """An absolute path that is there stays; everything else (VOC lists start with "/") lies below `root`."""
    return path if os.path.isabs(path) and os.path.isfile(path) else str(root / path.lstrip("/"))


def _paired(images: pathlib.Path, masks: pathlib.Path | None) -> list[Sample]:
    names, namesakes = _pictures(images), _Folder(masks) if masks else None
    return [Sample(_stem(name), str(images / name), namesakes and namesakes.path_of(_stem(name))) for name in names]


def _listed(root: pathlib.Path, split: str) -> list[Sample]:
    """`SPLIT.txt` with images/ and masks/, else images/SPLIT/ with masks/SPLIT/: folder and everything prepared."""
    list_file = root / f"{split}.txt"
    if list_file.is_file():
        return _from_list(root, list_file, "images", "masks" if split != "test" else None)
    if (root / "images" / split).is_dir():
        return _paired(root / "images" / split, root / "masks" / split if split != "test" else None)
    raise UserError(
        f"{list_file}: no such list, nor a folder {root / 'images' / split}; one of them says what {split!r} is."
    )


def _voc(root: pathlib.Path, split: str) -> list[Sample]:
    for inner in ("VOCdevkit/VOC2012", "VOC2012"):
        if (root / inner).is_dir():
            root = root / inner
    if split == "trainval_aug":
        return _voc(root, "train_aug") + _voc(root, "val")
    lists = root / "ImageSets" / "Segmentation"
    if not lists.is_dir():
        raise UserError(
            f"{lists}: no such folder, expected the VOC 2012 layout (JPEGImages, ImageSets/Segmentation)."
        )
    list_file = lists / f"{split}.txt"
    if split == "train_aug" and not list_file.is_file():
        list_file = lists / "trainaug.txt"
        if not list_file.is_file():
            raise UserError(
                f"{lists / 'train_aug.txt'}: no such list; `python -m deeplab_tf.prepare_data voc2012` derives it."
            )
    masks = {"train_aug": "SegmentationClassAug", "test": None}.get(split, "SegmentationClass")
    return _from_list(root, list_file, "JPEGImages", masks)


def _camvid(root: pathlib.Path, split: str) -> list[Sample]:
    masks = root / f"{split}annot"
    if (root / f"{split}.txt").is_file():
        return _from_list(root, root / f"{split}.txt", split, masks.name)
    return _paired(root / split, masks)


_CITYSCAPES = {
    "train_coarse": ("train", "gtCoarse"),
    "train_extra": ("train_extra", "gtCoarse"),
    "test": ("test", None),
}


def _cityscapes(root: pathlib.Path, split: str) -> list[Sample]:
    """leftImg8bit/SPLIT/CITY/*.png with the first kind of mask that is there: labelIds, labelTrainIds, color."""
    folder, masks = _CITYSCAPES.get(split, (split, "gtFine"))
    pictures = root / "leftImg8bit" / folder
    if not pictures.is_dir():
        raise UserError(f"{pictures}: no such folder, expected leftImg8bit/{folder}/CITY/*_leftImg8bit.png.")
    samples = []
    for image in sorted(pictures.glob("*/*_leftImg8bit.png")):
        sample_id = image.name.removesuffix("_leftImg8bit.png")
        mask = masks and root / masks / folder / image.parent.name / f"{sample_id}_{masks}_"
        suffix = f"_{split}" if split == "train_coarse" else ""  # the same pictures as train: ids stay apart
        samples.append(Sample(sample_id + suffix, str(image), mask and _cityscapes_mask(str(mask))))
    return samples


def _cityscapes_mask(prefix: str) -> str:
    kinds = ("labelIds.png", "labelTrainIds.png", "color.png")
    return next((prefix + kind for kind in kinds if os.path.isfile(prefix + kind)), prefix + kinds[0])


_LISTERS = {"voc2012": _voc, "camvid": _camvid, "cityscapes": _cityscapes}
