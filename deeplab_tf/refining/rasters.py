"""Picture and mask files of any size, looked at through windows.

`.npy`, uncompressed TIFF and PPM are mapped: only what is looked at is read. The other formats are decoded whole, by Pillow,
at 4 bytes a pixel for a colour picture and 1 for a mask (30,000 x 30,000: 3.6 and 0.9 GB).
"""

import copy
import os
import pathlib

import numpy as np
from PIL import Image

from deeplab_tf.errors import UserError
from deeplab_tf.refining.pickled_arrays import read_npy

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".ppm", ".npy")
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".pgm", ".npy")
_ORIENTATION = 0x0112  # EXIF tag
_STORED = (1, 1, False)
_UPRIGHT = {  # EXIF orientation -> steps through the stored rows and columns, and whether these then change places
    2: (1, -1, False),
    3: (-1, -1, False),
    4: (-1, 1, False),
    5: (1, 1, True),
    6: (-1, 1, True),
    7: (-1, -1, True),
    8: (1, -1, True),
}
_MASK_MODES = ("1", "L", "P", "I;16")
_STEPS = {"L;2": 85, "L;4": 17}  # Pillow spreads grey of 2 and 4 bits over 0..255; an id is the number before that
_PICTURE_MODES = (*_MASK_MODES, "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class Picture:
    """A picture file: grey is expanded, alpha laid over white, 16 bits cut to 8, as the other readers here do it.

    Its EXIF orientation is applied as `predict` does, to the window alone: turning a whole picture would take its memory again.

    Attributes:
        size: (height, width), upright.
        is_oriented: whether it has an orientation other than 1; `is_turned` whether that is applied.
    """

    def __init__(self, path: str | os.PathLike):
        self._source, orientation = _open(path, "a picture", lambda shape: len(shape) == 3 and shape[2] == 3)
        if isinstance(self._source, Image.Image) and self._source.mode not in _PICTURE_MODES:
            raise UserError(f"{path}: got a picture in {self._source.mode}, expected 8 or 16 bits; convert it to RGB.")
        self.is_oriented = orientation != 1
        self._turn(_UPRIGHT.get(orientation, _STORED))

    def _turn(self, steps: tuple[int, int, bool]) -> None:
        self._steps, self.is_turned = steps, steps != _STORED
        self.size = _size(self._source)[:: -1 if steps[2] else 1]

    def as_stored(self) -> "Picture":
        """The same file, its orientation not applied."""
        stored = copy.copy(self)
        stored._turn(_STORED)
        return stored

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """uint8 [rows, columns, 3], RGB."""
        down, right, is_swapped = self._steps
        if is_swapped:
            rows, columns = columns, rows
        height, width = _size(self._source)
        found = self._stored(_counted(rows, height, down), _counted(columns, width, right))[::down, ::right]
        return np.ascontiguousarray(found.swapaxes(0, 1) if is_swapped else found)

    def _stored(self, rows: slice, columns: slice) -> np.ndarray:
        if isinstance(self._source, np.ndarray):
            return self._source[rows, columns]
        part = _crop(self._source, rows, columns)
        if part.mode.startswith("I"):
            grey = np.asarray(part).astype(np.int32) >> 8
            return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)
        if part.mode in ("LA", "PA", "RGBA") or "transparency" in part.info:
            rgba = np.asarray(part.convert("RGBA")).astype(np.int32)
            colour, alpha = rgba[..., :3], rgba[..., 3:]
            return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return np.array(part.convert("RGB"))


def _counted(span: slice, length: int, step: int) -> slice:
    """The span among `length` positions that are counted from the other end where `step` is -1."""
    return span if step == 1 else slice(length - span.stop, length - span.start)


class Mask:
    """A mask file of class ids: palette indices, grey values or integers.

    Attributes:
        size: (height, width).
        palette: RGB bytes of a palette file, else None; `clear` its transparency, as Pillow gives it.
    """

    def __init__(self, path: str | os.PathLike):
        self._source, _ = _open(path, "a mask", lambda shape: len(shape) == 2)
        self.size = _size(self._source)
        self.palette, self.clear = None, None
        if isinstance(self._source, np.ndarray):
            return
        if self._source.mode not in _MASK_MODES:
            raise UserError(
                f"{path}: got a mask in {self._source.mode}, expected class ids as palette indices or grey values; "
                "convert its colours to ids."
            )
        if self._source.mode == "P":
            self.palette, self.clear = bytes(self._source.getpalette("RGB")), self._source.info.get("transparency")

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """uint8 [rows, columns].

        Raises:
            UserError: an id is above 255 or below 0.
        """
        found = self._source
        found = found[rows, columns] if isinstance(found, np.ndarray) else np.asarray(_crop(found, rows, columns))
        if found.dtype not in (np.uint8, bool) and found.size and (found.min() < 0 or found.max() > 255):
            raise UserError(
                f"mask: got ids from {found.min()} to {found.max()}, expected 0..255, which is what a PNG of 8 bits holds."
            )
        return np.ascontiguousarray(found, np.uint8)


def _open(path, what: str, fits) -> tuple[np.ndarray | Image.Image, int]:
    """The pixels as they are stored, and the EXIF orientation that is still to be applied."""
    if pathlib.Path(path).suffix == ".npy":
        array = read_npy(path)
        if (
            not isinstance(array, np.ndarray)
            or not fits(array.shape)
            or not array.size
            or array.dtype.kind not in "iub"
            or (what == "a picture" and array.dtype != np.uint8)
        ):
            got = f"{list(np.shape(array))} {getattr(array, 'dtype', type(array).__name__)}"
            raise UserError(
                f"{path}: got {got}, expected {what}: uint8 [height, width, 3] pixels or integer [height, width] ids."
            )
        return array, 1
    try:
        image = Image.open(path)
        mapped = _mapped(image, path)
        if mapped is not None and fits(mapped.shape):
            orientation = _orientation(image)
            if what == "a picture" or (image.mode == "L" and orientation == 1):
                return mapped, orientation
        step = _STEPS.get(image.tile[0][3], 1) if image.tile and what == "a mask" else 1
        image.load()
        orientation = _orientation(image)  # only now: Pillow turns TIFF as it loads
        return (image.point(lambda value: value // step) if step > 1 else image), orientation
    except FileNotFoundError as error:
        raise UserError(f"{path}: is not there, expected {what}; correct the path.") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read as {what} ({reason}); save it again as PNG.") from error


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in _UPRIGHT else 1


def _mapped(image: Image.Image, path) -> np.ndarray | None:
    """The pixels where they lie in the file, or None where they are packed."""
    bands = {"RGB": 3, "L": 1}.get(image.mode)
    if image.format not in ("TIFF", "PPM") or not bands or not image.tile:
        return None
    width, height = image.tile[-1][1][2:]  # as stored: the size of an oriented TIFF is the upright one
    first = image.tile[0][2]
    for codec, (left, top, right, _), offset, how in image.tile:
        raw, *rest = (how,) if isinstance(how, str) else how
        whole = (left, right) == (0, width) and offset == first + top * width * bands
        if codec != "raw" or raw != image.mode or not whole or any(rest[:1]) or rest[1:2] not in ([], [1]):
            return None
    return np.memmap(path, np.uint8, "r", first, (height, width, bands) if bands > 1 else (height, width))


def _crop(image: Image.Image, rows: slice, columns: slice) -> Image.Image:
    return image.crop((columns.start, rows.start, columns.stop, rows.stop))


def _size(source) -> tuple[int, int]:
    return source.shape[:2] if isinstance(source, np.ndarray) else source.size[::-1]
