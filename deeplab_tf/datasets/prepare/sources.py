"""Finding things in the folders a user names, and reading MATLAB files."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.extras import needed


@dataclasses.dataclass(frozen=True)
class Task:
    """One picture whose mask is to be made: `make(*arguments)` gives uint8 [height, width] ids, or None to leave it out.

    `ready` is a mask file that can be used as it stands; then `make` is not called. `annotation` is the file that `make`
    reads, as it is told of.
    """

    id: str
    image: str
    make: Callable | None = None
    arguments: tuple = ()
    ready: str | None = None
    annotation: str = ""


def find(sources: Sequence[pathlib.Path], *names: str) -> pathlib.Path | None:
    """The first of `names` (relative paths) that is there below a source, at most three folders down; else None."""
    for name in names:
        for source in sources:
            for pattern in (name, f"*/{name}", f"*/*/{name}", f"*/*/*/{name}"):
                found = sorted(path for path in source.glob(pattern) if "__MACOSX" not in path.parts)
                if found:
                    return found[0]
    return None


def require(sources: Sequence[pathlib.Path], *names: str, what: str) -> pathlib.Path:
    """`find`, or a UserError that says what is missing."""
    found = find(sources, *names)
    if found is None:
        where = ", ".join(map(str, sources))
        raise UserError(f"--source={where}: found no {' or '.join(names)} ({what}); data/README.md says where to get it.")
    return found


def read_ids(path: pathlib.Path) -> list[str]:
    """First word of every line of a list file, without folder and ending."""
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [os.path.splitext(os.path.basename(line.split()[0]))[0] for line in lines if line.strip()]


def stems(folder: pathlib.Path, suffix: str) -> list[str]:
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"[!.]*{suffix}"))


def voc_pictures(sources: Sequence[pathlib.Path]) -> pathlib.Path:
    return require(sources, "JPEGImages", what="VOC's pictures")


def split_lists(sources: Sequence[pathlib.Path], ids: Sequence[str]) -> dict[str, list[str]]:
    """`ids` by VOC 2010's own train and val lists, the published splits; all in "all" where no list is there."""
    have, splits = set(ids), {}
    for split in ("train", "val"):
        path = find(sources, f"ImageSets/Main/{split}.txt", f"{split}.txt")
        if path is not None:
            splits[split] = [name for name in read_ids(path) if name in have]
    return splits or {"all": list(ids)}


def read_mat(path: str) -> dict:
    """Variables of a MATLAB 5 file, structs as objects.

    Raises:
      UserError: scipy is not installed, or the file cannot be read.
    """
    scipy_io = needed("scipy.io", "prepare", f"reading {path}")
    try:
        return scipy_io.loadmat(path, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # scipy raises whatever a broken file makes it trip over
        raise UserError(f"{path}: cannot be read as a MATLAB file ({error}); get it again.") from error


def field(path: str, *names: str) -> np.ndarray:
    """Value at a path of variable and struct fields in a .mat file."""
    contents = read_mat(path)
    if names[0] not in contents:
        raise UserError(f"{path}: holds no variable {names[0]!r}, expected {'.'.join(names)}; is it the right file?")
    value = contents[names[0]]
    for name in names[1:]:
        value = getattr(value, name)
    return np.asarray(value)
