"""The page of the paper in miniature: tables, claims, and what the CRF does round boundaries; one self-contained HTML file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from deeplab_tf.pages.chart import Chart, Line
from deeplab_tf.pages.rendering import render, save


def write_page(
    path: str | os.PathLike, tables: Sequence[Mapping], claims: Sequence[Mapping], trimaps: Mapping[str, Mapping], command: str
) -> None:
    """Writes the page.

    Args:
      path: of the page.
      tables: {"title", "rows": [{"label", "paper", "before", "after", "seeds"}]}, texts; empty where not run.
      claims: {"claim", "source", "paper", "found", "verdict"}, texts; the last two empty where not tried.
      trimaps: name -> {"before", "after"}: mean IoU, fractions, of the bands of 0, 1, 2, … pixels.
      command: what makes the page again.

    Raises:
      UserError: the file cannot be written.
    """
    verdicts = [one["verdict"] for one in claims if one["verdict"]]
    counts = {word: verdicts.count(word) for word in sorted(set(verdicts))}
    page = render(
        "paper.html", title="The paper in miniature", tables=tables, claims=claims, counts=counts, command=command,
        charts=[_chart(name, curves) for name, curves in trimaps.items() if curves],
    )  # fmt: skip
    save(path, page)


def _chart(name: str, curves: Mapping[str, Sequence[float]]) -> Chart:
    lines = [Line(f"{stage} CRF", range(1, len(values)), [100 * value for value in values[1:]], color)
             for color, (stage, values) in enumerate(curves.items())]  # fmt: skip
    return Chart(f"{name}: mean IoU, %, within so many pixels of a boundary", lines, from_zero=False)
