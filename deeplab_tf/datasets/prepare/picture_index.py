"""Which file a tool means by the name of a picture."""

from __future__ import annotations

import os
import pathlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from deeplab_tf.datasets.lists import composed, is_picture_name

_WHOLE = sys.maxsize  # agreement of a whole path


class PictureIndex:
    """The JPEG and PNG files below some folders.

    Args:
      folders: looked through once, with those below.
      leave_out: a folder that is not looked into, such as that of the results.
      named: the names of all pictures of the export, by which it is known whether names restart in its folders.
    """

    def __init__(self, folders: Sequence[pathlib.Path], leave_out: pathlib.Path, named: Iterable[str] = ()):
        self._folders = [pathlib.Path(os.path.abspath(folder)) for folder in folders]
        self._by_name, self._parents = defaultdict(set), set()
        for folder in self._folders:
            for path in files_below(folder, leave_out):
                if is_picture_name(path.name):
                    self._by_name[composed(path.name)].add(path)
                    self._parents.add(composed(path.parent.name))
        self._named_in = defaultdict(set)
        for *folder, last in map(_parts, named):
            if _says(folder):
                self._named_in[last].add(tuple(folder))

    def find(self, names: Sequence[str], beside: pathlib.Path) -> tuple[pathlib.Path, int]:
        """The file of the first of `names` that is there, as seen from the folder `beside`, or anywhere below the folders.

        Of several files of that name the one whose folders agree best is meant: exports carry the folders of another machine.
        Where the export names pictures of that name in several folders, or a folder that is here and lacks the picture, no file
        of another folder is meant.

        Returns:
          The file, and how many names at the end of the two paths agree: who names it best has it.

        Raises:
          ValueError: there is none, or one cannot tell which.
        """
        for name in names:
            near = pathlib.Path(os.path.abspath(beside.joinpath(*composed(name.replace("\\", "/")).split("/"))))
            if near.is_file() and is_picture_name(near.name):
                return near, _WHOLE
        others = set()
        for *folder, last in map(_parts, names):
            agreement = {path: self._agreement(path, [*folder, last]) for path in sorted(self._by_name[last] - others)}
            best = [path for path, same in agreement.items() if same == max(agreement.values())]
            if len(best) > 1:
                raise ValueError(f"it may be {best[0]} or {best[1]}; name only the folder of one of them in --source")
            elsewhere = _says(folder) and (len(self._named_in[last]) > 1 or folder[-1] in self._parents)
            if best and agreement[best[0]] == 1 and elsewhere:
                others.add(best[0])
            elif best:
                return best[0], agreement[best[0]]
        raise ValueError("there is no such JPEG or PNG file below --source; put it there, or convert it")

    def _agreement(self, path: pathlib.Path, parts: Sequence[str]) -> int:
        below = [path.relative_to(folder) for folder in self._folders if path.is_relative_to(folder)]
        return _WHOLE if any(_parts(str(one)) == parts for one in below) else _common_end(path.parts, parts)

    def name(self, path: pathlib.Path) -> str:
        """What the results of a picture are called: its path below the first folder that holds it, without an ending."""
        folder = self._folder_of(path)
        return path.relative_to(folder).with_suffix("").as_posix()

    def place(self, path: pathlib.Path) -> str:
        """Its path from the name of that folder on."""
        return path.relative_to(self._folder_of(path).parent).as_posix()

    def _folder_of(self, path: pathlib.Path) -> pathlib.Path:
        return next((folder for folder in self._folders if path.is_relative_to(folder)), path.parent)


def files_below(folder: pathlib.Path, leave_out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Every file below a folder, sorted; hidden ones and those below `leave_out` are passed over."""
    leave_out = os.path.abspath(leave_out)
    for here, folders, names in os.walk(os.path.abspath(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and os.path.join(here, name) != leave_out)
        yield from (pathlib.Path(here, name) for name in sorted(names) if not name.startswith("."))


def _parts(name: str) -> list[str]:
    """Folders and name."""
    return [part for part in composed(name.replace("\\", "/")).split("/") if part not in ("", ".")] or [""]


def _says(folder: Sequence[str]) -> bool:
    """Whether a folder is named at all, not only gone up to."""
    return any(part != ".." for part in folder)


def _common_end(path: Sequence[str], parts: Sequence[str]) -> int:
    pairs = zip(reversed(path), reversed(parts), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if composed(one) != other), min(len(path), len(parts)))
