"""The paper's figures as files, and one page of them all."""

from __future__ import annotations

import base64
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from deeplab_tf.pages.chart import Chart
from deeplab_tf.pages.rendering import render, save
from deeplab_tf.whole_files import make_folder, replacing

PAGE = "index.html"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
      number: the paper's.
      title: of it.
      picture: uint8 [height, width, 3] RGB.
      caption: what is seen, of which runs and pictures, and by which rule they were chosen.
      chart: drawn below the picture.
    """

    number: int
    title: str
    picture: np.ndarray
    caption: str
    chart: Chart | None = None

    def png(self) -> bytes:
        """Of the same picture the same bytes; of few colours, few bits a pixel."""
        stream, picture = io.BytesIO(), Image.fromarray(self.picture)
        few = picture.getcolors(256)
        if few is not None:
            picture = picture.quantize(len(few), dither=Image.Dither.NONE)
        picture.save(stream, "PNG", optimize=True)
        return stream.getvalue()


def write_figures(out: pathlib.Path, figures: Sequence[Figure], left_out: Mapping[int, str]) -> pathlib.Path:
    """Writes OUT/figure_N.png, figure_N.svg where there is a chart, and index.html, which needs no other file.

    Args:
      out: a folder, made if it is not there.
      figures: at least one.
      left_out: number -> what the figure needs.

    Returns:
      The page.

    Raises:
      UserError: the folder or the disk refuses.
    """
    make_folder(out)
    shown = []
    for figure in figures:
        png = figure.png()
        _write(out / f"figure_{figure.number}.png", png)
        if figure.chart:
            _write(out / f"figure_{figure.number}.svg", render("chart_alone.html", chart=figure.chart).encode())
        shown.append((figure, f"data:image/png;base64,{base64.b64encode(png).decode()}"))
    save(out / PAGE, render("figures.html", title="The paper's figures", figures=shown, left_out=left_out))
    return out / PAGE


def _write(path: pathlib.Path, data: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(data)
