"""A one-dimensional convolution to look at: its input and its output as stems, and the taps of one position (Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from deeplab_tf.pages.sheets import PAPER, SOFT, WIDTH, write

_FINE = 3  # drawn this much larger, then reduced: smooth lines
_LANE, _TOP, _LEFT, _RIGHT = 120, 34, 130, 16  # pixels
_INPUT, _OUTPUT, _EXTRA, _TAPS, _AXIS = (100, 116, 139), (37, 99, 235), (147, 197, 253), (217, 119, 6), (203, 208, 217)


def stems(
    title: str, x: np.ndarray, y: np.ndarray, position: int, taps: Sequence[int], *, extra: np.ndarray,
    scale: tuple[float, float],
) -> np.ndarray:  # fmt: skip
    """uint8 [height, 1000, 3]: output above, input below, and lines from the output at `position` to the inputs `taps`.

    Args:
      title: over it.
      x, y: float [length], input and output; NaN where there is no sample.
      extra: bool [length], the outputs that are drawn pale.
      scale: magnitude of input and output that reaches as high as there is room.
    """
    height = _TOP + 2 * _LANE + 14
    picture = Image.new("RGB", (WIDTH * _FINE, height * _FINE), PAPER)
    draw = ImageDraw.Draw(picture)
    levels = _TOP + np.array([0.5, 1.5]) * _LANE  # of zero: output, input
    places = _LEFT + (np.arange(len(x)) + 0.5) * (WIDTH - _LEFT - _RIGHT) / len(x)
    tops = [levels[0] - 0.42 * _LANE * y / scale[1], levels[1] - 0.42 * _LANE * x / scale[0]]
    for tap in taps:
        ends = [places[position], tops[0][position], places[tap], tops[1][tap]]
        draw.line([end * _FINE for end in ends], _TAPS, 2 * _FINE)
    _lane(draw, places, tops[0], levels[0], [_EXTRA if pale else _OUTPUT for pale in extra])
    _lane(draw, places, tops[1], levels[1], [_INPUT] * len(x))
    small = picture.reduce(_FINE)
    draw = ImageDraw.Draw(small)
    write(draw, (4, 20), title)
    for text, level, color in (("output y[i]", levels[0], _OUTPUT), ("input x[i]", levels[1], SOFT)):
        write(draw, (4, level + 6), text, color)
    return np.asarray(small)


def _lane(draw: ImageDraw.ImageDraw, places: np.ndarray, tops: np.ndarray, zero: float, colors: Sequence) -> None:
    draw.line([_LEFT * _FINE, zero * _FINE, (WIDTH - _RIGHT) * _FINE, zero * _FINE], _AXIS, _FINE)
    for place, top, color in zip(places * _FINE, tops * _FINE, colors, strict=True):
        if np.isnan(top):
            draw.line([place, (zero - 4) * _FINE, place, (zero + 4) * _FINE], _AXIS, _FINE)
            continue
        draw.line([place, zero * _FINE, place, top], color, 2 * _FINE)
        draw.circle((place, top), 5 * _FINE, color)
