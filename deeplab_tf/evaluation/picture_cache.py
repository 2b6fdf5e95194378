"""Results kept on disk picture by picture, so that an evaluation can be interrupted and taken up again."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deeplab_tf.crf.scores import load_scores, picture_digest, save_scores
from deeplab_tf.whole_files import make_folder, replacing, unwritable

_ABOUT = "about.json"
_KIND = {"known by": "the pixels of the picture"}


class PictureCache:
    """A folder of one file for each picture, which all came about in the same way. A file knows its picture by the pixels.

    Args:
      folder: made if it is not there.
      about: JSON-able facts that the results depend on. Results that came about in another way are deleted when
        the cache is opened; None takes whatever is there.
      suffix: of the files, with the dot.
      read: (path, digest of the picture) -> array; a ValueError where the file is of another picture.
      write: (path, array, digest of the picture); the file appears whole or not at all.

    Raises:
      UserError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        about: dict | None,
        suffix: str,
        read: Callable[[pathlib.Path, str], np.ndarray],
        write: Callable[[pathlib.Path, np.ndarray, str], None],
    ):
        self.folder = pathlib.Path(folder)
        self._suffix, self._read, self._write = suffix, read, write
        if about is None:
            return
        about = json.loads(json.dumps(about))
        if read_about(self.folder) != about:
            if (self.folder / _ABOUT).exists():  # never a folder that is not one of ours
                _remove(self.folder)
            make_folder(self.folder)
            with replacing(self.folder / _ABOUT) as partial:
                partial.write_text(json.dumps(about | _KIND, indent=1) + "\n")

    def path(self, id: str) -> pathlib.Path:
        """The file of a picture; an id may contain folders ("frankfurt/frankfurt_000000_000294")."""
        path = self.folder / f"{id}{self._suffix}"
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"id is {id!r}, expected a name that stays inside {self.folder}")
        return path

    def get(self, id: str, image: np.ndarray) -> np.ndarray | None:
        """The array [height, width, ...] of a picture; None where there is none, or one that is damaged or of another picture.

        Args:
          id: of the picture.
          image: uint8 [height, width, 3].
        """
        try:
            array = self._read(self.path(id), picture_digest(image))
        except (OSError, ValueError, EOFError, KeyError):
            return None
        return array if array.shape[:2] == image.shape[:2] else None

    def put(self, id: str, image: np.ndarray, array: np.ndarray) -> None:
        """Keeps the array of a picture; UserError where the folder or the disk refuses."""
        path = self.path(id)
        make_folder(path.parent)
        self._write(path, array, picture_digest(image))


def read_about(folder: str | os.PathLike) -> dict | None:
    """What the files of a cache came about by; None where the folder holds none of this kind."""
    try:
        about = json.loads((pathlib.Path(folder) / _ABOUT).read_text())
    except (OSError, ValueError):
        return None
    kind = {name: about.pop(name, None) for name in _KIND} if isinstance(about, dict) else None
    return about if kind == _KIND else None


def label_cache(folder: str | os.PathLike, about: dict) -> PictureCache:
    """A cache of label maps, integer [height, width] below 65,536, as grey PNG."""
    return PictureCache(folder, about, ".png", _read_labels, _write_labels)


def score_cache(folder: str | os.PathLike, about: dict | None) -> PictureCache:
    """A cache of probabilities, float32 [height, width, K], in the compact form of `deeplab_tf.crf.scores`."""
    return PictureCache(folder, about, ".npz", load_scores, save_scores)


def _remove(folder: pathlib.Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def _read_labels(path: pathlib.Path, picture: str) -> np.ndarray:
    with Image.open(path) as file:
        if file.info.get("picture") != picture:
            raise ValueError(f"{path}: of another picture")
        return np.array(file)


def _write_labels(path: pathlib.Path, labels: np.ndarray, picture: str) -> None:
    kind, info = np.uint8 if labels.max(initial=0) < 256 else np.uint16, PngInfo()
    info.add_text("picture", picture)
    with replacing(path) as partial:
        Image.fromarray(labels.astype(kind)).save(partial, "PNG", pnginfo=info)
