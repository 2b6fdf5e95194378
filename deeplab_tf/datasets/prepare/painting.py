"""The shapes of a picture to its mask. Runs in worker processes."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from deeplab_tf.datasets.prepare.class_names import ClassTable
from deeplab_tf.datasets.prepare.shapes import Picture, Shape
from deeplab_tf.whole_files import replacing

OVERLAPS = ("order", "small_on_top")
_ORIENTATION = 0x0112  # EXIF tag
# EXIF orientation -> what turns upright pixels as they are stored: tools show pictures upright, training reads stored pixels.
_STORED = {
    2: np.fliplr,
    3: lambda mask: mask[::-1, ::-1],
    4: np.flipud,
    5: lambda mask: mask.T,
    6: np.rot90,
    7: lambda mask: mask[::-1, ::-1].T,
    8: lambda mask: np.rot90(mask, -1),
}


@dataclasses.dataclass(frozen=True)
class Painted:
    """What became of one picture.

    Attributes:
      pixels: of its mask; 0 where there is none.
      overlapping: how many of them lie in shapes of different classes.
      left_out: why shapes are missing in the mask, or, where there is none, why not.
    """

    pixels: int = 0
    overlapping: int = 0
    left_out: tuple[str, ...] = ()


def write_mask(picture: Picture, image: str, path: str, classes: ClassTable, overlaps: str, palette: bytes) -> Painted:
    """Writes the mask of a picture file, as its pixels are stored; a picture with a wrong shape has none.

    Raises:
      UserError: the folder or the disk refuses.
    """
    try:
        height, width, orientation = drawn_size(image, picture.size)
        drawn, left_out = _with_values(picture.shapes(height, width), classes)
        mask, overlapping = paint(drawn, height, width, classes.unlabelled, overlaps)
    # Whatever a wrong entry in a file from outside trips.
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, SyntaxError) as error:
        return Painted(left_out=(str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}",))
    stored = Image.fromarray(np.ascontiguousarray(_STORED.get(orientation, np.asarray)(mask)), "L")
    stored.putpalette(palette)
    with replacing(path) as partial:
        stored.save(partial, format="PNG")
    return Painted(mask.size, overlapping, left_out)


def paint(
    drawn: Sequence[tuple[int, Shape]], height: int, width: int, unlabelled: int, overlaps: str
) -> tuple[np.ndarray, int]:
    """uint8 [height, width] and how many of its pixels lie in shapes of different values.

    Args:
      drawn: (value in the mask, shape), from below to above.
      unlabelled: value where no shape is.
      overlaps: "order", by layer and as they come; or "small_on_top", which looks at the areas alone.
    """
    if overlaps == "small_on_top":
        drawn = sorted(drawn, key=lambda one: -np.count_nonzero(one[1].mask()))
    else:
        drawn = sorted(drawn, key=lambda one: one[1].layer)
    mask, several, free = np.zeros((height, width), np.uint8), np.zeros((height, width), bool), np.ones((height, width), bool)
    for value, shape in drawn:  # one at a time is in memory
        inside = shape.mask()
        several |= inside & ~free & (mask != value)
        mask[inside], free[inside] = value, False
    mask[free] = unlabelled
    return mask, int(np.count_nonzero(several))


def _with_values(shapes: Sequence[Shape], classes: ClassTable) -> tuple[list[tuple[int, Shape]], tuple[str, ...]]:
    """Shapes with their values in the mask, and what is said of those without."""
    drawn, without = [], collections.Counter()
    for shape in shapes:
        value = classes.value(shape.label)
        if shape.mask is None:
            without[f"of kind {shape.kind}, which cover no area"] += 1
        elif value is None:
            of_none = f"of class {shape.label!r}, which --labels does not hold" if shape.label.strip() else "without a class"
            without[of_none] += 1
        else:
            drawn.append((value, shape))
    return drawn, tuple(f"{count:,} shapes left out {what}" for what, count in without.items())


def drawn_size(image: str | os.PathLike, declared: Sequence[int] | None) -> tuple[int, int, int]:
    """Height and width of the pixels that the shapes were drawn on, and the EXIF orientation that they are turned by.

    Args:
      image: the picture's file.
      declared: (height, width) as the export says, or None.

    Raises:
      ValueError: no JPEG or PNG, or of another size than declared.
    """
    with Image.open(image) as picture:
        (width, height), orientation = picture.size, picture.getexif().get(_ORIENTATION, 1)
        orientation = orientation if orientation in _STORED else 1
        if picture.format not in ("JPEG", "MPO", "PNG"):
            raise ValueError(f"is a {picture.format}, expected JPEG or PNG; convert it")
    upright = (width, height) if orientation >= 5 else (height, width)
    if declared is None or tuple(declared) == upright:
        return *upright, orientation
    if tuple(declared) == (height, width):
        return height, width, 1
    raise ValueError(
        f"has {width} x {height} pixels, but its shapes were drawn on {declared[1]} x {declared[0]}; put the "
        "picture there that was annotated"
    )
