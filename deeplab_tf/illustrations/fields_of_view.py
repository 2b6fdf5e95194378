"""Figure 4: what the branches of a head see, drawn to scale over a picture; the rates are those of the zoo."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image, ImageDraw

from deeplab_tf.models.zoo import get_preset
from deeplab_tf.pages.figures import Figure
from deeplab_tf.pages.sheets import Cell, Row, sheet

STRIDE = 8  # pixels of the picture between two scores, at the output stride that the rates are quoted for
_SIDE, _FINE = 448, 3  # pixels of the picture that is seen; drawn this much larger, then reduced
COLORS = ((220, 38, 38), (22, 163, 74), (37, 99, 235), (147, 51, 234))
CENTER = (249, 115, 22)  # the paper's orange
_NETWORKS = {"LargeFOV": "vgg16_largefov", "ASPP-S": "vgg16_aspp_s", "ASPP-L": "vgg16_aspp_l"}


def field_of_view(kernel_size: int, rate: int) -> int:
    """Side in pixels of what fc6 sees of the picture, `8 ((k - 1) r + 4)`: the four of Table 1."""
    return STRIDE * ((kernel_size - 1) * rate + 4)


def tap_offsets(kernel_size: int, rate: int) -> np.ndarray:
    """int [taps]: where the taps of one axis lie from the middle, pixels of the picture."""
    before = (kernel_size - 1) * rate // 2
    return STRIDE * (rate * np.arange(kernel_size) - before)


def figure_4(image: np.ndarray, source: str) -> Figure:
    """The branches of LargeFOV, ASPP-S and ASPP-L over a picture, uint8 [height, width, 3]."""
    cells, said = [], []
    for name, preset in ((name, get_preset(row)) for name, row in _NETWORKS.items()):
        cells.append(Cell(drawing(image, preset.kernel_size, preset.rates)))
        fields = [field_of_view(preset.kernel_size, rate) for rate in preset.rates]
        said.append(f"{name}: rates {_listed(preset.rates)}, fields of {_listed(fields)} pixels")
    longest = max((get_preset(row).rates for row in _NETWORKS.values()), key=len)
    branches = [f"branch {k + 1}" for k in range(len(longest))]
    legend = [("scored pixel", CENTER), *zip(branches, COLORS, strict=False)]
    return Figure(
        4, "Fields of view", sheet([Row(cells)], tuple(_NETWORKS), legend),
        "What the kernel of each branch reads to score the orange pixel, to scale at output stride 8: squares are its taps, "
        f"frames its field of view as Table 1 reckons it, 8 ((k - 1) r + 4) pixels. {'; '.join(said)}. The picture is "
        f"{source}, its middle square in grey, enlarged to {_SIDE} pixels.",
    )  # fmt: skip


def _listed(numbers) -> str:
    return ", ".join(map(str, numbers))


def drawing(image: np.ndarray, kernel_size: int, rates: tuple[int, ...]) -> np.ndarray:
    """uint8 [448, 448, 3]: a frame for each branch, and its taps over them: the frame of one lies on taps of the next."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side]).convert("L").convert("RGB")
    square = square.resize((_SIDE * _FINE,) * 2, Image.Resampling.BICUBIC)
    square = Image.blend(square, Image.new("RGB", square.size, (255, 255, 255)), 0.4)
    draw, middle, branches = ImageDraw.Draw(square), _SIDE / 2, list(zip(rates, COLORS, strict=False))
    for rate, color in branches:
        low, high = (_FINE * (middle + sign * field_of_view(kernel_size, rate) / 2) for sign in (-1, 1))
        draw.rectangle((low, low, high, high), outline=color, width=2 * _FINE)
    for rate, color in branches:
        for y, x in itertools.product(tap_offsets(kernel_size, rate), repeat=2):
            _tap(draw, middle + x, middle + y, color)
    _tap(draw, middle, middle, CENTER)
    return np.asarray(square.reduce(_FINE))


def _tap(draw: ImageDraw.ImageDraw, x: float, y: float, color) -> None:
    reach = STRIDE / 2
    draw.rectangle(
        [_FINE * (x - reach), _FINE * (y - reach), _FINE * (x + reach), _FINE * (y + reach)], color, (255, 255, 255), _FINE
    )
