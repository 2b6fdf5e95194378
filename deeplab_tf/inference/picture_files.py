"""A user's pictures: which files are meant, what their results are called, and how they are read.

Training and evaluation read stored pixels, as their masks were drawn on; here there is no mask to agree with, so that an EXIF
orientation is applied, and every format that Pillow opens will do.
"""

from __future__ import annotations

import collections
import dataclasses
import glob
import hashlib
import os
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image, UnidentifiedImageError

from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.errors import UserError

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {  # EXIF orientation -> what turns the stored pixels upright
    2: np.fliplr,
    3: lambda pixels: pixels[::-1, ::-1],
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """One picture or video, and the path of its results below the folder of results, without an ending."""

    path: pathlib.Path
    name: str

    @property
    def is_video(self) -> bool:
        return is_video(self.path)

    @property
    def file_name(self) -> str:
        """The file's own name, in the sub-folders that its results keep."""
        return f"{self.name}{self.path.suffix}"


def is_video(path: str | os.PathLike) -> bool:
    return os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES


def find_pictures(paths: Iterable[str | os.PathLike], recursive: bool = False) -> list[PictureFile]:
    """The pictures and videos that `paths` name: files, folders, patterns such as `a/*.jpg`, and .txt lists of files.

    Args:
      paths: a folder stands for the pictures right in it. A list holds a path a line, as seen from the list's folder.
      recursive: also those in folders below a folder; their results keep the sub-folders.

    Raises:
      UserError: a path does not exist, a folder or list holds no picture, nothing was named, or two pictures would have
        results of one name.
    """
    found = [picture for path in paths for picture in _named_by(os.fspath(path), recursive)]
    if not found:
        raise UserError("No pictures were named, expected files, folders, patterns or lists behind the flags.")
    unique = {picture.path.resolve(): picture for picture in found}  # named twice is meant once
    counts = collections.Counter(picture.name for picture in unique.values())
    for picture in unique.values():
        if counts[picture.name] > 1:
            raise UserError(
                f"{picture.path}: another picture has the same name and both results would be called "
                f"{picture.name}; run them apart."
            )
    return list(unique.values())


def _named_by(path: str, recursive: bool) -> list[PictureFile]:
    there = pathlib.Path(path)
    if there.is_dir():
        return _in_folder(there, recursive)
    if there.is_file():
        if there.suffix.lower() == ".txt":
            return _in_list(there)
        return [PictureFile(there, there.stem)]
    matches = sorted(glob.glob(path, recursive=True))
    if not matches:
        raise UserError(f"{path}: no such picture, folder or list, nor a pattern that fits one; correct the path.")
    files = [pathlib.Path(match) for match in matches if os.path.isfile(match)]
    return [PictureFile(file, file.stem) for file in files if _may_be_shown(file.name)]


def _in_folder(folder: pathlib.Path, recursive: bool) -> list[PictureFile]:
    entries = folder.rglob("*") if recursive else folder.iterdir()
    files = sorted(entry for entry in entries if _may_be_shown(entry.name) and entry.is_file())
    if not files:
        below = "" if recursive else " (--recursive looks into the folders below)"
        raise UserError(f"{folder}: holds no picture or video{below}; name another folder.")
    return [PictureFile(file, file.relative_to(folder).with_suffix("").as_posix()) for file in files]


def _in_list(file: pathlib.Path) -> list[PictureFile]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as a list of pictures ({error}).") from error
    pictures = []
    for line in filter(None, lines):
        below = pathlib.PurePath(line).with_suffix("")
        name = below.name if below.is_absolute() or ".." in below.parts else below.as_posix()
        pictures.append(PictureFile(file.parent / line, name))
    if not pictures:
        raise UserError(f"{file}: the list is empty, expected a picture a line.")
    return pictures


def _may_be_shown(name: str) -> bool:
    """Whether Pillow or the video reader takes files of that ending; "._x.jpg" is macOS' shadow of x.jpg."""
    suffix = os.path.splitext(name)[1].lower()
    return not name.startswith("._") and suffix not in (".pdf", ".eps", ".ps") and (
        suffix in Image.registered_extensions() or suffix in VIDEO_SUFFIXES)  # fmt: skip


def read_upright(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture as uint8 [height, width, 3] RGB, turned as its EXIF orientation says.

    JPEG and PNG are read as in training and evaluation. Of what else Pillow opens: alpha is laid over white, 16 bits are cut
    to 8, the first of several frames is taken.

    Raises:
      UserError: naming the file, when it is missing, broken, or no picture of 8 or 16 bits.
    """
    try:
        with Image.open(path) as picture:
            as_stored = picture.format in ("JPEG", "MPO", "PNG")
            if not as_stored:
                picture.load()  # turns a TIFF by itself, and then takes its orientation away
            orientation = picture.getexif().get(_ORIENTATION, 1)
            pixels = read_image(path) if as_stored else _decoded(picture)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; correct the path.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "no format that Pillow knows" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a picture ({reason}); convert it to PNG or JPEG.") from error
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _decoded(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I"):
        levels = np.asarray(picture)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"levels from {levels.min()} to {levels.max()}, expected 8 or 16 bits")
        return np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    if picture.mode == "F":
        raise ValueError("floating-point levels, expected 8 or 16 bits")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return np.asarray(picture.convert("RGB"))


def checksum(path: str | os.PathLike) -> str | None:
    """Of the file's contents; None where it cannot be read. A result belongs to the picture that has it."""
    try:
        with open(path, "rb") as content:
            return hashlib.file_digest(content, "md5").hexdigest()
    except OSError:
        return None
