"""List files of a split: what a line names, and which files it means. Standard library only."""

from __future__ import annotations

import os
import pathlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from deeplab_tf.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")  # in capitals or not; of namesakes the first
_ENDINGS = "|".join(map(re.escape, IMAGE_SUFFIXES))


def is_picture_name(name: str) -> bool:
    """Whether a file's name ends as a picture's or mask's does; hidden files (macOS leaves ._NAME.jpg) are none."""
    return _has_ending(name) and not os.path.basename(name).startswith(".")


def read_list(path: pathlib.Path) -> list[list[str]]:
    """Lines of a list file, each split at a tab, else (behind a known ending) at a comma, semicolon or blank.

    Raises:
      UserError: the file cannot be read as text, or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of pictures ({error}).") from error
    entries = [_split_line(line.strip()) for line in lines if line.strip()]
    if not entries:
        raise UserError(f"{path}: the list is empty, expected one picture a line.")
    return entries


def _split_line(line: str) -> list[str]:
    parts = line.split("\t")
    if len(parts) == 1:
        # Names may hold blanks and commas, so only one behind an ending separates.
        pair = re.match(rf"(.*?(?:{_ENDINGS})[\"']?)(?:\s*[,;]\s*|\s+)(.+)", line, re.IGNORECASE)
        parts = pair.groups() if pair else [line]
    parts = [part.strip().strip("\"'") for part in parts]
    return [part for part in parts if part] or [line]


class Finder:
    """Finds files by name, with any ending and however their letters are composed; looks at every folder once."""

    def __init__(self):
        self._there: dict[str, dict[str, list[str]]] = {}

    def exact(self, path: str | os.PathLike) -> str | None:
        """The file of that name; None where there is none."""
        if os.path.isfile(path):
            return os.fspath(path)
        stem, ending = os.path.splitext(path)
        return next((found for found in self._namesakes(stem) if os.path.splitext(found)[1] == ending), None)

    def with_any_ending(self, stem: str | os.PathLike) -> str | None:
        """The file of that name plus an ending; None where there is none."""
        return next(iter(self._namesakes(stem)), None)

    def _namesakes(self, stem: str | os.PathLike) -> list[str]:
        folder, name = os.path.split(stem)
        if folder not in self._there:
            self._there[folder] = _by_stem(folder)
        return [os.path.join(folder, found) for found in self._there[folder].get(composed(name), ())]


def _by_stem(folder: str) -> dict[str, list[str]]:
    """Composed name without ending -> names as they are there, in the order of endings."""
    stems = defaultdict(list)
    names = sorted(filter(is_picture_name, os.listdir(folder))) if os.path.isdir(folder) else []
    for name in sorted(names, key=lambda name: IMAGE_SUFFIXES.index(os.path.splitext(name)[1].lower())):
        stems[composed(os.path.splitext(name)[0])].append(name)
    return stems


def composed(name: str) -> str:
    """Letters with accents as one character (NFC), as Linux and Windows write them; macOS writes two."""
    return unicodedata.normalize("NFC", name)


def path_of(finder: Finder, root: pathlib.Path, folder: str, split: str, name: str) -> str:
    """The file that a list's column means; where none is there, the path at which it was expected.

    Args:
      finder: looks into the folders.
      root: the data folder.
      folder: where pictures, or masks, lie below it.
      split: the list's name.
      name: an id (looked up in `folder` and `folder/split`), or a path: absolute, below `root` or `folder`, or with the
        front of another machine (CamVid's lists say /SegNet/CamVid/test/X.png), of which at least a folder and the name must
        be there: a name alone may be another picture's.
    """
    root, inner = os.fspath(root), os.path.join(root, folder)
    if not _has_ending(name):
        places = [os.path.join(inner, name), os.path.join(inner, split, name)]
        found = next(filter(None, map(finder.with_any_ending, places)), None)
        return found or places[0] + (".jpg" if "mage" in folder else ".png")
    found = next(filter(None, map(finder.exact, _places(root, inner, split, name))), None)
    return found or _expected(root, inner, name)


def _places(root: str, inner: str, split: str, name: str) -> Iterator[str]:
    if os.path.isabs(name):
        yield name
    yield _expected(root, inner, name)
    parts = name.replace("\\", "/").strip("/").split("/")
    for start in range(max(len(parts) - 1, 1)):
        for base in (root, inner, os.path.join(inner, split)):
            yield os.path.join(base, *parts[start:])


def _expected(root: str, inner: str, name: str) -> str:
    return os.path.join(root, name.lstrip("/")) if "/" in name else os.path.join(inner, name)


def _has_ending(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def relative_ids(paths: Sequence[str], folders: Sequence[str | os.PathLike]) -> list[str | None]:
    """Each path without ending below the first of the folders that holds it; None where none does."""
    bases = [os.path.join(os.path.abspath(folder), "") for folder in folders]
    stems = [os.path.splitext(os.path.abspath(path))[0] for path in paths]
    return [next((composed(stem[len(base) :]) for base in bases if stem.startswith(base)), None) for stem in stems]
