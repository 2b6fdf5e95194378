"""Figures 2 and 3: a signal and a picture, convolved at half the resolution, and at the full one with atrous rate 2.

The numbers are those of our layers; where both have a response, they are the same.
"""

from __future__ import annotations

import keras
import numpy as np

from deeplab_tf.layers.atrous import AtrousConv1D, AtrousConv2D
from deeplab_tf.pages.figures import Figure
from deeplab_tf.pages.sheets import Cell, Row, sheet
from deeplab_tf.pages.stems import stems

RATE = 2  # Figs. 2 and 3
_WINDOW, _ENLARGED = 28, 8  # pixels of the cut-out; times
_SHADES = 24  # of red and of blue: more make the file larger, not clearer
_NONE, _HOLE, _RED, _BLUE = (214, 218, 226), (232, 235, 240), np.array((185, 28, 28)), np.array((29, 78, 216))


def sparse_responses(x: np.ndarray, kernel: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Every `rate`-th sample, convolved and put back to its place: NaN where there is no response.

    Args:
      x: float [length] or [height, width].
      kernel: float [taps] or [taps, taps].

    Returns:
      float32 of the shape of `x`.
    """
    every = (slice(None, None, rate),) * x.ndim
    y = np.full(x.shape, np.nan, np.float32)
    y[every] = dense_responses(x[every], kernel, 1)
    return y


def dense_responses(x: np.ndarray, kernel: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Atrous convolution `y[i] = sum_k x[i + r k] w[k]` (section 3.1), zeros outside; arguments as `sparse_responses`."""
    layer_of = {1: AtrousConv1D, 2: AtrousConv2D}[x.ndim]
    initial = keras.initializers.Constant(kernel[..., None, None].astype(np.float32))
    layer = layer_of(1, kernel.shape[0], rate, use_bias=False, kernel_initializer=initial)
    return np.asarray(layer(x[None, ..., None].astype(np.float32)))[0, ..., 0]


def vertical_derivative(taps: int = 7) -> np.ndarray:
    """float64 [taps, taps]: the derivative of a Gaussian from top to bottom, absolute values of sum 1; Fig. 3's has 7 taps.

    The deviation is a quarter of the side, so that the outer taps still count.
    """
    y, x = np.mgrid[:taps, :taps] - (taps - 1) / 2
    kernel = y * np.exp(-(x**2 + y**2) / (2 * (taps / 4) ** 2))
    return kernel / np.abs(kernel).sum()


def figure_2(length: int = 33) -> Figure:
    """The 1-D illustration: three taps on a signal with a step, a slope and a ripple."""
    i = np.arange(length)
    x = np.where(i < length // 3, -0.5, 0.6) + 0.35 * np.sin(2 * np.pi * i / 11) - 0.5 * (i > 0.7 * length)
    kernel = np.array([-1.0, 2.0, -1.0])
    sparse, dense = sparse_responses(x, kernel), dense_responses(x, kernel)
    middle = length // 2 // RATE * RATE
    drawn = {"position": middle, "taps": [middle - RATE, middle, middle + RATE],
             "extra": np.isnan(sparse), "scale": (np.abs(x).max(), np.abs(dense).max())}  # fmt: skip
    low = np.where(np.isnan(sparse), np.nan, x)
    panels = [
        stems("(a) Sparse: every second sample, ordinary convolution with 3 taps", low, sparse, **drawn),
        stems("(b) Dense: all samples, atrous convolution with the same 3 taps at rate 2", x, dense, **drawn),
    ]
    return Figure(
        2, "Atrous convolution in 1-D", np.concatenate(panels),
        f"A signal of {length} samples and the taps -1, 2, -1. Orange: the inputs of one output. Atrous convolution reads the "
        "same ones there and gives the same output; it gives those between (pale) as well, with as many weights, and as many "
        "products for each.",
    )  # fmt: skip


def figure_3(image: np.ndarray, source: str) -> Figure:
    """The 2-D illustration on a picture, uint8 [height, width, 3]; `source` names it in the caption."""
    grey = image.astype(np.float32).mean(axis=-1)
    centred = grey - grey.mean()  # so that the zeros outside are no edge, as in the networks
    kernel = vertical_derivative()
    holes = np.full((2 * len(kernel) - 1,) * 2, np.nan)
    holes[::RATE, ::RATE] = kernel
    sparse, dense = sparse_responses(centred, kernel), dense_responses(centred, kernel)
    limit = np.quantile(np.abs(dense), 0.99)
    window = _window(dense, reach=len(kernel) - 1)
    low = np.full(image.shape, 255, np.uint8)
    small = grey[::RATE, ::RATE]
    low[: small.shape[0], : small.shape[1]] = small[..., None]
    rows = [
        _row("(a) Sparse: reduced by 2, convolved, put back to the places it belongs to", low, kernel, sparse, limit, window),
        _row("(b) Dense: the whole picture, atrous convolution with the same weights at rate 2", _grey(grey), holes, dense,
             limit, window),
    ]  # fmt: skip
    return Figure(
        3, "Atrous convolution in 2-D", sheet(rows, ("input", "kernel", "responses", f"a part, {_ENLARGED} x")),
        f"The picture is {source}, in grey; the kernel a vertical derivative of a Gaussian, 7 x 7 taps, which at rate 2 span "
        "13 x 13 pixels. Red: brighter below, blue: darker below, the strongest 1 % in full colour, white: zero; grey: nothing "
        "is computed there, at 3 of 4 places. Where (a) has a response, (b) has the same. The part is round the strongest.",
    )  # fmt: skip


def _row(title: str, picture: np.ndarray, kernel: np.ndarray, y: np.ndarray, limit: float, window) -> Row:
    shown = _signed(y, limit, _NONE)
    spread = _signed(kernel, np.nanmax(np.abs(kernel)), _HOLE)
    height, width = picture.shape[:2]
    side = int(0.8 * min(height, width)) // 13 * (13 if len(kernel) == 13 else 7)
    board = np.full((height, width, 3), 255, np.uint8)
    enlarged = np.kron(spread, np.ones((side // len(kernel),) * 2 + (1,), np.uint8))
    top, left = (height - len(enlarged)) // 2, (width - len(enlarged)) // 2
    board[top : top + len(enlarged), left : left + len(enlarged)] = enlarged
    part = np.kron(shown[window], np.ones((_ENLARGED, _ENLARGED, 1), np.uint8))
    part = part[:, : part.shape[0] * width // height]
    return Row([Cell(picture, sharp=True), Cell(board, sharp=True), Cell(shown, sharp=True), Cell(part, sharp=True)], title)


def _window(y: np.ndarray, reach: int) -> tuple[slice, slice]:
    """A part of the picture's proportions round the strongest response that no zero from outside takes part in."""
    height, width = y.shape
    inside = (slice(reach, -reach),) * 2
    sides = (_WINDOW * height // width, _WINDOW)
    at = np.add(np.unravel_index(np.abs(y[inside]).argmax(), y[inside].shape), reach)
    starts = [min(max(int(k) - side // 2, 0), n - side) for k, side, n in zip(at, sides, y.shape, strict=True)]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(values + 0.5, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def _signed(values: np.ndarray, limit: float, none: tuple[int, int, int]) -> np.ndarray:
    """uint8 [height, width, 3]: white for 0, red up to `limit`, blue down to -`limit`, `none` for NaN."""
    known = np.round(_SHADES * np.nan_to_num(np.clip(values / limit, -1, 1)))[..., None] / _SHADES
    colors = 255 + np.abs(known) * (np.where(known > 0, _RED, _BLUE) - 255)
    return np.where(np.isnan(values)[..., None], np.array(none), colors + 0.5).astype(np.uint8)
