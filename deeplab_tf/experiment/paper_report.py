"""The findings of the paper in miniature in files: summary.json, tables.md and paper.html."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.paper_runs import Training
from deeplab_tf.experiment.paper_text import claims_of, tables_of, text_of
from deeplab_tf.pages.paper import write_page
from deeplab_tf.whole_files import make_folder, replacing

SUMMARY, TEXT, PAGE = "summary.json", "tables.md", "paper.html"
_DRAWN = {"table3_aspp_l": "VGG-16 ASPP-L", "table4_aspp": "ResNet-50 ASPP"}  # as Fig. 10


def write_findings(folder: str | os.PathLike, found: Mapping, command: str) -> None:
    """Writes the three files; `command` is what makes them again. UserError where the disk refuses."""
    folder = pathlib.Path(folder)
    make_folder(folder)
    for name, text in ((SUMMARY, json.dumps(found, indent=1) + "\n"), (TEXT, text_of(found))):
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    trimaps = {title: found["runs"][run]["trimap"] for run, title in _DRAWN.items() if run in found["runs"]}
    write_page(folder / PAGE, tables_of(found), claims_of(found), trimaps, command)


def keep_counts(folder: str | os.PathLike, done: Iterable[Training]) -> None:
    """Copies what the findings were made from, which is small, to FOLDER/NAME/seed-N; UserError where the disk refuses."""
    for one in done:
        for name in one.counts():
            path = pathlib.Path(folder) / one.run / f"seed-{one.seed}" / name
            make_folder(path.parent)
            with replacing(path) as partial:
                partial.write_bytes((one.workdir / name).read_bytes())


def read_findings(folder: str | os.PathLike) -> dict:
    """What summary.json holds.

    Raises:
      UserError: it is not there or cannot be read.
    """
    path = pathlib.Path(folder) / SUMMARY
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        text_of(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error!r}), expected what python -m deeplab_tf.paper writes; run it."
        ) from error
    return found
