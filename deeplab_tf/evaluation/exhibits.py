"""What the report shows beside the figures: pictures, likely label errors and the CRF step by step, and the page of it all."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.evaluation.crf_strips import CrfStrips
from deeplab_tf.evaluation.tally import Tally
from deeplab_tf.pages.curves import read_curves
from deeplab_tf.pages.gallery import Gallery
from deeplab_tf.pages.label_errors import LabelErrors
from deeplab_tf.pages.report import Intervals, Report
from deeplab_tf.pages.strips import Strip

_LABEL_ERRORS = 8  # regions, where there are pictures at all


class Exhibits:
    """Collects them while an evaluation runs, or from what others collected of its parts.

    Args:
      spec: a DatasetSpec.
      crf: what refines the predictions, or None; only a DenseCRF can show its steps.
      gallery: pictures to keep, 0 for no exhibits.
    """

    def __init__(self, spec, crf: Callable | None, gallery: int):
        self._spec = spec
        self._gallery = Gallery(spec.palette, gallery, spec.ignore_label)
        self._label_errors = LabelErrors(spec.palette, min(gallery, _LABEL_ERRORS), spec.ignore_label)
        steps = gallery and isinstance(crf, DenseCRF)
        self._strips = CrfStrips(crf, spec.class_names, spec.ignore_label) if steps else None
        self._added: list = []  # rows of strips

    def add(
        self, id: str, place: int, image: np.ndarray, label: np.ndarray, probabilities: np.ndarray, before: np.ndarray,
        after: np.ndarray | None,
    ) -> None:  # fmt: skip
        """Looks at one picture.

        Args:
          id: name of the picture; `place`: its number in the set.
          image: uint8 [height, width, 3] RGB.
          label: integer [height, width] true ids.
          probabilities: float [height, width, K] of the network.
          before, after: integer [height, width] predicted ids without and with the CRF (None: no CRF).
        """
        self._gallery.offer(id, image, label, before, after, place=place)
        self._label_errors.offer(id, image, label, probabilities, place)
        if self._strips is not None:
            self._strips.offer(id, image, label, before, after, probabilities, place)

    def state(self) -> dict:
        """What `add_state` takes, bounded by the size of the gallery; JSON-able."""
        strips = [[*row, vars(strip)] for *row, strip in self._strip_rows()]
        return {"gallery": self._gallery.state(), "label_errors": self._label_errors.state(), "strips": strips}

    def add_state(self, state: Mapping) -> None:
        """Adds what was collected of another part of the set: the whole is that of one evaluation."""
        self._gallery.add_state(state["gallery"])
        self._label_errors.add_state(state["label_errors"])
        self._added += [(*row, Strip(**strip)) for *row, strip in state["strips"]]

    def _strip_rows(self) -> list:
        """The first of its kind among all (`CrfStrips.rows`)."""
        first: dict = {}
        found = self._added + (self._strips.rows() if self._strips is not None else [])
        for row in sorted(found, key=lambda row: (row[0], -row[1], row[2])):
            first.setdefault(row[0], row)
        return list(first.values())

    def write(
        self,
        path: str | os.PathLike,
        tally: Tally,
        *,
        title: str,
        figures: Mapping[str, str],
        settings: Mapping[str, object],
        warnings: Sequence[str],
        intervals: Intervals | None = None,
        log_file: pathlib.Path | None = None,
        commands: Sequence[str] = (),
        flags: str = "",
    ) -> None:
        """Writes the page.

        Args:
          path: of the page.
          tally: the figures.
          title, figures, settings, warnings, intervals, commands, flags: as `Report` takes them.
          log_file: the run's train.jsonl, for its curves; None, or a file that is not there: no curves.

        Raises:
          UserError: the folder or the disk refuses.
        """
        names = ("before CRF", "after CRF") if tally.after else ("prediction",)
        Report(
            title=title,
            class_names=self._spec.class_names,
            palette=self._spec.palette,
            results=_present(names, tally.before, tally.after),
            gallery=self._gallery,
            figures=figures,
            settings=settings,
            warnings=warnings,
            intervals=intervals,
            trimaps=_present(names, tally.trimap_before, tally.trimap_after),
            training=read_curves(log_file) if log_file else (),
            label_errors=self._label_errors.found(),
            strips=[strip for *_, strip in self._strip_rows()],
            commands=commands,
            flags=flags,
        ).write(path)


def _present(names: Sequence[str], *values) -> dict:
    return {name: value for name, value in zip(names, values, strict=False) if value is not None}
