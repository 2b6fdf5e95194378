"""Two results side by side: the difference in words, and a page with the pictures that changed most."""

from __future__ import annotations

import os
import pathlib

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.comparison import Comparison, compare
from deeplab_tf.evaluation.parts import PICTURES, Part, load_part
from deeplab_tf.evaluation.picture_cache import label_cache, score_cache
from deeplab_tf.pages.gallery import Gallery
from deeplab_tf.pages.report import Intervals, Report


def compare_results(
    one: str | os.PathLike, other: str | os.PathLike, out: str | os.PathLike | None = None, *, data_dir: str | None = None,
    gallery: int = 24,
) -> Comparison:  # fmt: skip
    """Compares what two evaluations left in their folders.

    Args:
      one, other: folders with pictures.npz, which `eval` writes beside result.json.
      out: the page; None: none.
      data_dir: of the data set, for the pictures of the page; the predictions are those that `eval --save_scores` kept.
      gallery: pictures of the page.

    Raises:
      UserError: no result there, or two that cannot be compared.
    """
    parts = [load_part(pathlib.Path(folder) / PICTURES) for folder in (one, other)]
    found = compare(*parts)
    if out is not None:
        _page(found, parts, data_dir, gallery).write(out)
    return found


def _page(found: Comparison, parts: list[Part], data_dir: str | None, gallery: int) -> Report:
    about, names = parts[0].about, ("A", "B")
    spec = get_dataset(about["dataset"], data_dir)
    if spec.class_names != tuple(about["classes"]):
        raise UserError(f"--data_dir={data_dir}: the label table there is not that of the results; name the data they are of.")
    shown = Gallery(spec.palette, gallery if data_dir else 0, spec.ignore_label)
    if data_dir:
        _offer(shown, found, parts, spec, data_dir, gallery)
    matrices = {name: part.counts(found.stage, spec.ignore_label) for name, part in zip(names, parts, strict=True)}
    curves = {f"{name} {stage} CRF": part.curve(stage, spec.ignore_label)
              for name, part in zip(names, parts, strict=True) for stage in part.stages}  # fmt: skip
    unknown = [None] * len(found.class_names)
    return Report(
        title=f"{parts[0].path.parent} (A) and {parts[1].path.parent} (B) on {about['dataset']}",
        class_names=spec.class_names, palette=spec.palette, results=matrices, gallery=shown, sort="changed",
        figures={"Pictures": f"{len(found.pictures):,}"}, warnings=(found.verdict(),),
        trimaps={name: curve for name, curve in curves.items() if curve is not None},
        settings={f"{name}: {key}": value for name, part in zip(names, parts, strict=True)
                  for key, value in part.about["settings"].items()},
        intervals=Intervals(
            over=f"{found.draws.units} {found.draws.over}", mean_iou=dict.fromkeys(names), gain=found.interval,
            per_class_iou=dict.fromkeys(names, unknown), per_class_gain=found.class_intervals,
        ),
    )  # fmt: skip


def _offer(shown: Gallery, found: Comparison, parts: list[Part], spec, data_dir: str, count: int) -> None:
    split = parts[0].about["settings"].get("split", "val")
    samples = {one.id: one for one in list_samples(spec, data_dir, split)}
    for id, *_ in found.pictures[:count]:
        if id not in samples:
            raise UserError(f"--data_dir={data_dir}: {id} is not in split {split} there; name the data the results are of.")
        image, label = read_image(samples[id].image), read_label(samples[id].label, spec)
        shown.offer(id, image, label, *(_predicted(part, found.stage, id, image) for part in parts))


def _predicted(part: Part, stage: str, id: str, image):
    """The labels that an evaluation kept; UserError where it kept none."""
    folder = part.path.parent
    kept = label_cache(folder / "crf_labels", None) if stage == "after" else score_cache(folder / "scores", None)
    found = kept.get(id, image)
    if found is None:
        raise UserError(
            f"{folder}: holds no predictions of {id} as it is now, expected those that eval --save_scores keeps; "
            "evaluate with it, or leave --data_dir out for a page without pictures."
        )
    return found if stage == "after" else found.argmax(axis=-1)
