"""Pictures for people: a label map laid over its picture, and small pictures that stand inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def overlay(image: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Picture and label map half and half, uint8 [height, width, 3].

    Args:
      image: uint8 [height, width, 3] RGB.
      labels: integer [height, width], rows of `colors`.
      colors: uint8 [256, 3], see `deeplab_tf.datasets.colors`.
    """
    return ((image.astype(np.uint16) + colors[labels]) // 2).astype(np.uint8)


def photograph(image: np.ndarray, side: int, quality: int = 85) -> str:
    """A JPEG as a data URI, its longer side at most `side` pixels; from uint8 [height, width, 3] RGB."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return data_uri(picture, "JPEG", quality=quality)


def label_map(ids: np.ndarray, colors: np.ndarray, side: int) -> str:
    """A PNG as a data URI, reduced without new colours to at most `side` pixels.

    Args:
      ids: uint8 [height, width], rows of `colors`.
      colors: uint8 [n, 3] RGB or [n, 4] RGBA of the ids, n at most 256.
      side: pixels, longer side.
    """
    picture = Image.fromarray(ids)
    picture.thumbnail((side, side), Image.Resampling.NEAREST)
    reduced = np.asarray(picture)
    present = np.flatnonzero(np.bincount(reduced.ravel(), minlength=len(colors)))  # few colours: few bits a pixel
    places = np.zeros(len(colors), np.uint8)
    places[present] = np.arange(len(present))
    picture = Image.fromarray(places[reduced], "P")
    colors = colors[present]
    picture.putpalette(np.ascontiguousarray(colors[:, :3]).tobytes())
    clear = {"transparency": colors[:, 3].tobytes()} if colors.shape[1] == 4 and colors[:, 3].min() < 255 else {}
    return data_uri(picture, "PNG", **clear)


def data_uri(picture: Image.Image, kind: str, **options) -> str:
    """The picture as an address that holds it whole; `kind` and `options` as Pillow's `save` takes them."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
