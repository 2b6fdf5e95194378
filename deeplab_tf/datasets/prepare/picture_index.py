"""Which file a tool means by the name of a picture."""

from __future__ import annotations

import os
import pathlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

from deeplab_tf.datasets.lists import composed, is_picture_name


class PictureIndex:
    """The JPEG and PNG files below some folders.

    Args:
      folders: looked through once, with those below.
      leave_out: a folder that is not looked into, such as that of the results.
    """

    def __init__(self, folders: Sequence[pathlib.Path], leave_out: pathlib.Path):
        self._folders = [pathlib.Path(os.path.abspath(folder)) for folder in folders]
        self._by_name = defaultdict(set)
        for folder in self._folders:
            for path in files_below(folder, leave_out):
                if is_picture_name(path.name):
                    self._by_name[composed(path.name)].add(path)

    def find(self, names: Sequence[str], beside: pathlib.Path) -> pathlib.Path:
        """The file of the first of `names` that is there, as seen from the folder `beside`, or anywhere below the folders.

        Of several files of that name the one whose folders agree best is meant: exports carry the folders of another machine.

        Raises:
          ValueError: there is none, or one cannot tell which.
        """
        for name in names:
            parts = composed(name.replace("\\", "/")).split("/")
            near = pathlib.Path(os.path.abspath(beside.joinpath(*parts)))
            if near.is_file() and is_picture_name(near.name):
                return near
            found = sorted(self._by_name[parts[-1]])
            agreement = [_common_end(path.parts, parts) for path in found]
            best = [path for path, same in zip(found, agreement, strict=True) if same == max(agreement)]
            if len(best) == 1:
                return best[0]
            if best:
                raise ValueError(f"it may be {best[0]} or {best[1]}; name only the folder of one of them in --source")
        raise ValueError("there is no such JPEG or PNG file below --source; put it there, or convert it")

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


def _common_end(path: Sequence[str], parts: Sequence[str]) -> int:
    pairs = zip(reversed(path), reversed(parts), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if composed(one) != other), min(len(path), len(parts)))
