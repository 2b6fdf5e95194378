"""How data sets lie on disk: one lister per layout, which says what pictures and masks a split holds."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator

from deeplab_tf.datasets.lists import IMAGE_SUFFIXES, Finder, composed, is_picture_name, path_of, read_list, relative_ids
from deeplab_tf.errors import UserError


class NoSuchSplit(UserError):
    """The folder holds nothing of the split: neither a list nor pictures nor masks."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One picture with its mask; paths as text, `label` None where the split has no masks.

    The id is the picture's path in its split, without ending, "seq1/0001"; what is made of it is named after it.
    """

    id: str
    image: str
    label: str | None


def _pictures(folder: pathlib.Path) -> list[str]:
    """Names of the pictures in a folder and the folders in it, sorted."""
    if not folder.is_dir():
        raise NoSuchSplit(f"{folder}: no such folder; data/README.md says how the data set lies on disk.")
    names = sorted(walk(folder))
    if not names:
        endings = Counter(os.path.splitext(name)[1] or "no ending" for name in os.listdir(folder))
        found = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(5)) or "nothing"
        raise UserError(f"{folder}: found {found}, expected pictures that end in {', '.join(IMAGE_SUFFIXES)}; convert them.")
    return names


def walk(folder: pathlib.Path) -> Iterator[str]:
    """Names of the pictures in a folder and the folders in it; hidden ones are passed over."""
    seen = set()
    for inner, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(inner) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(os.path.realpath(inner))
        named = [name for name in folders if is_picture_name(name)]  # no picture, and to be told of
        folders[:] = [name for name in folders if not is_picture_name(name) and not name.startswith(".")]
        yield from (os.path.relpath(os.path.join(inner, name), folder) for name in named + files if is_picture_name(name))


def _from_list(root: pathlib.Path, list_file: pathlib.Path, images: str, masks: str | None) -> list[Sample]:
    """Samples of a list file whose lines are ids, pictures, or pictures with their masks."""
    if not list_file.is_file():
        raise NoSuchSplit(f"{list_file}: no such list; it says which pictures are of the split.")
    entries, finder, split = read_list(list_file), Finder(), list_file.stem
    pictures = [path_of(finder, root, images, split, entry[0]) for entry in entries]
    ids = _ids(root, root / images, split, pictures)
    if masks is None:
        return [Sample(*row, None) for row in zip(ids, pictures, strict=True)]
    beside = [below or name for below, name in zip(relative_ids(pictures, [root / images]), ids, strict=True)]
    once, others = Counter(map(os.path.basename, ids)), _Namesakes(root, list_file, images, finder)
    samples = []
    for entry, image, name, below in zip(entries, pictures, ids, beside, strict=True):
        if len(entry) > 1:
            mask = path_of(finder, root, masks, split, entry[1])
        else:
            flat = [os.path.basename(name)] if once[os.path.basename(name)] == 1 else []
            tries = [below, name, f"{split}/{name}", *flat]  # a mask lies as deep as its picture, or in `masks` itself
            found = ((one, finder.with_any_ending(root / masks / one)) for one in tries)
            fit = (path for one, path in found if path and (one == below or not others.mean(one, image)))
            mask = next(fit, str(root / masks / f"{below}.png"))
        samples.append(Sample(name, image, mask))
    return samples


class _Namesakes:
    """Pictures in the folder of pictures and in the lists beside a list; looked for only where a mask may be of several."""

    def __init__(self, root: pathlib.Path, list_file: pathlib.Path, images: str, finder: Finder):
        self._root, self._list, self._images, self._finder = root, list_file, images, finder

    def mean(self, name: str, image: str) -> bool:
        """Whether `name`, meant as the end of the path of `image`, is that of another picture as well."""
        alike = [path for path in self._by_name[os.path.basename(name)] if _stem(path).endswith(f"/{name}")]
        return any(_stem(os.path.realpath(path)) != _stem(os.path.realpath(image)) for path in alike)

    @functools.cached_property
    def _by_name(self) -> dict[str, set[str]]:
        found = [os.path.join(self._root, self._images, name) for name in walk(self._root / self._images)]
        for path in sorted({*self._list.parent.glob("*.txt")} - {self._list, self._root / "labels.txt"}):
            with contextlib.suppress(UserError):  # no list
                named = [path_of(self._finder, self._root, self._images, path.stem, entry[0]) for entry in read_list(path)]
                found += filter(os.path.isfile, named)
        paths = defaultdict(set)
        for path in found:
            paths[os.path.basename(_stem(path))].add(path)
        return paths


def _stem(path: str) -> str:
    return composed(os.path.splitext(os.path.abspath(path))[0])


def _ids(root: pathlib.Path, images: pathlib.Path, split: str, pictures: list[str]) -> list[str]:
    """Ids are paths: below the folder of pictures, else below `root`; of pictures elsewhere below what they share."""
    ids = relative_ids(pictures, [images / split, images, root])
    elsewhere = [path for path, inside in zip(pictures, ids, strict=True) if inside is None]
    if not elsewhere:
        return ids
    shared = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in elsewhere])
    outside = iter(relative_ids(elsewhere, [shared]))
    return [inside or next(outside) for inside in ids]


def _paired(images: pathlib.Path, masks: pathlib.Path | None) -> list[Sample]:
    if masks is not None and masks.is_dir() and not images.is_dir():
        raise UserError(f"{masks}: masks without pictures, expected them in {images}; add that folder.")
    finder, samples = Finder(), []
    for name in _pictures(images):
        stem = os.path.splitext(name)[0]
        mask = masks and (finder.with_any_ending(masks / stem) or str(masks / f"{stem}.png"))
        samples.append(Sample(composed(stem), str(images / name), mask))
    return samples


def listed(root: pathlib.Path, split: str) -> list[Sample]:
    """`SPLIT.txt` with images/ and masks/, else images/SPLIT/ with masks/SPLIT/: folder and everything prepared."""
    list_file = root / f"{split}.txt"
    if list_file.is_file():
        return _from_list(root, list_file, "images", "masks" if split != "test" else None)
    images, masks = root / "images" / split, root / "masks" / split
    if images.is_dir() or masks.is_dir():
        return _paired(images, masks if split != "test" else None)
    raise NoSuchSplit(f"{list_file}: no such list, nor a folder {images}; one of them says what {split!r} is.")


def _voc(root: pathlib.Path, split: str) -> list[Sample]:
    for inner in ("VOCdevkit/VOC2012", "VOC2012"):
        if (root / inner).is_dir():
            root = root / inner
    if split == "trainval_aug":
        return _voc(root, "train_aug") + _voc(root, "val")
    lists = root / "ImageSets" / "Segmentation"
    if not lists.is_dir():
        raise UserError(f"{lists}: no such folder, expected the VOC 2012 layout (JPEGImages, ImageSets/Segmentation).")
    list_file = lists / f"{split}.txt"
    if split == "train_aug" and not list_file.is_file():
        list_file = lists / "trainaug.txt"
        if not list_file.is_file():
            raise NoSuchSplit(
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
        raise NoSuchSplit(f"{pictures}: no such folder, expected leftImg8bit/{folder}/CITY/*_leftImg8bit.png.")
    if masks and not (root / masks / folder).is_dir():
        raise NoSuchSplit(f"{root / masks / folder}: no such folder, expected {masks}/{folder}/CITY/*_{masks}_labelIds.png.")
    samples = []
    for image in sorted(pictures.glob("[!.]*/[!.]*_leftImg8bit.png")):
        sample_id = image.name.removesuffix("_leftImg8bit.png")
        mask = masks and root / masks / folder / image.parent.name / f"{sample_id}_{masks}_"
        suffix = f"_{split}" if split == "train_coarse" else ""  # the same pictures as train: ids stay apart
        samples.append(Sample(sample_id + suffix, str(image), mask and _cityscapes_mask(str(mask))))
    return samples


def _cityscapes_mask(prefix: str) -> str:
    kinds = ("labelIds.png", "labelTrainIds.png", "color.png")
    return next((prefix + kind for kind in kinds if os.path.isfile(prefix + kind)), prefix + kinds[0])


LISTERS = {"voc2012": _voc, "camvid": _camvid, "cityscapes": _cityscapes}
