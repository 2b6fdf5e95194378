"""A picture with its shapes, whatever tool they were drawn with; coordinates are pixels, whole numbers on pixel edges."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from deeplab_tf.datasets.prepare import run_length

_ELLIPSE_CORNERS = 180  # its outline is then less than 0.02 % of the radius inside the curve


@dataclasses.dataclass(frozen=True)
class Shape:
    """One shape of a class.

    Attributes:
      label: the class, as the tool calls it.
      kind: what the tool calls the shape, such as "polygon".
      mask: gives the pixels, bool [height, width]; None: it covers none, such as a line.
      layer: shapes of a higher layer lie on top; within a layer the later one does.
    """

    label: str
    kind: str
    mask: Callable[[], np.ndarray] | None
    layer: int = 0


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture of an export.

    Attributes:
      names: what its file may be called, the likeliest first, with or without folders.
      size: (height, width) that the shapes were drawn on; None where the export does not say.
      shapes: (height, width) -> its shapes in order; called in another process. A ValueError says why there are none.
      classes: names of the classes that the export knows of.
      subset: the split that the export puts it in; empty where it says nothing.
    """

    names: tuple[str, ...]
    size: tuple[int, int] | None
    shapes: Callable[[int, int], Sequence[Shape]]
    classes: tuple[str, ...]
    subset: str = ""


def polygons(label: str, kind: str, outlines: Sequence, height: int, width: int, layer: int = 0) -> Shape:
    """The shape inside one or several outlines, each [[x, y], …] or [x, y, x, y, …]; less than three corners cover nothing.

    A pixel belongs to it where its middle is inside, as the COCO tools decide it.

    Raises:
      ValueError: a corner that is no number, or farther outside than the picture is large.
    """
    corners = [np.asarray(outline, np.float64).reshape(-1, 2) for outline in outlines]
    corners = [outline for outline in corners if len(outline) >= 3]
    for outline in corners:
        # Also what keeps the walk along an outline from taking all memory.
        if not np.all((outline >= -np.array([width, height])) & (outline <= 2 * np.array([width, height]))):
            raise ValueError(f"a {kind} of {label!r} has corners far outside the {width} x {height} pixels of the picture")
    filled = functools.partial(run_length.decode_segmentation, [outline.ravel() for outline in corners], height, width)
    return Shape(label, kind, filled if corners else None, layer)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Its corners [4, 2]."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Its outline as a polygon of many corners, [n, 2]."""
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=-1)


def turned(corners: np.ndarray, degrees: float, x: float, y: float) -> np.ndarray:
    """`corners` [n, 2] turned clockwise, as seen, about (x, y)."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (corners - (x, y)) @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def placed(part: np.ndarray, left: int, top: int, height: int, width: int) -> np.ndarray:
    """bool [height, width] that holds `part` with its corner at (left, top); what is outside is cut off."""
    mask = np.zeros((height, width), bool)
    mask[max(top, 0) : max(top + part.shape[0], 0), max(left, 0) : max(left + part.shape[1], 0)] = part[
        max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)
    ]
    return mask
