"""The paper's tables with our figures beside its own, read from result.json files. Standard library only."""

from __future__ import annotations

import json
import os
import pathlib
import typing
from collections.abc import Mapping, Sequence

from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


class Row(typing.NamedTuple):
    """A row of a table: what it is, the experiment whose run gives it, and the paper's mIoU in % before and after the CRF."""

    label: str
    run: str
    before: float | None = None
    after: float | None = None


TABLES: dict[str, tuple[Row, ...]] = {
    "Table 1: field of view, VGG-16, VOC 2012 val": (
        Row("7x7, rate 4", "table1_vgg16_7x7_r4", 64.38, 67.64), Row("4x4, rate 4", "table1_vgg16_4x4_r4", 59.80, 63.74),
        Row("4x4, rate 8", "table1_vgg16_4x4_r8", 63.41, 67.14), Row("3x3, rate 12", "table1_vgg16_largefov", 62.25, 67.64),
    ),
    "Table 2: learning policy, VGG-16 LargeFOV, VOC 2012 val": (
        Row("step, 30, 6K", "table2_vgg16_step_30_6k", 62.25), Row("poly, 30, 6K", "table2_vgg16_poly_30_6k", 63.42),
        Row("poly, 30, 10K", "table2_vgg16_poly_30_10k", 64.90), Row("poly, 10, 10K", "table2_vgg16_poly_10_10k", 64.71),
        Row("poly, 10, 20K", "table2_vgg16_poly_10_20k", 65.88),
    ),
    "Table 3: ASPP, VGG-16, VOC 2012 val": (
        Row("LargeFOV", "table3_vgg16_largefov", 65.76, 69.84), Row("ASPP-S", "table3_vgg16_aspp_s", 66.98, 69.73),
        Row("ASPP-L", "table3_vgg16_aspp_l", 68.96, 71.57),
    ),
    "Table 4: ResNet-101, VOC 2012 val": (
        Row("plain", "table4_resnet101", 68.72), Row("+ MSC", "table4_resnet101_msc", 71.27),
        Row("+ COCO", "table4_resnet101_coco", 73.28), Row("+ Aug", "table4_resnet101_aug", 74.87),
        Row("+ LargeFOV", "table4_resnet101_largefov", 75.54), Row("ASPP instead", "table4_resnet101_aspp", 76.35, 77.69),
    ),
    "Table 6: PASCAL-Context val": (
        Row("VGG-16 LargeFOV", "table6_vgg16_largefov", 37.6, 39.6), Row("ResNet-101", "table6_resnet101", 39.6),
        Row("+ MSC, Aug", "table6_resnet101_msc_aug", 41.4), Row("+ COCO", "table6_resnet101_coco", 42.9),
        Row("+ LargeFOV", "table6_resnet101_largefov", 43.5), Row("ASPP instead", "table6_resnet101_aspp", 44.7, 45.7),
    ),
    "Table 7: PASCAL-Person-Part val, ResNet-101": (
        Row("plain", "table7_resnet101", 58.90), Row("+ MSC, Aug", "table7_resnet101_msc_aug", 63.10),
        Row("+ COCO", "table7_resnet101_coco", 64.40, 64.94), Row("with LargeFOV", "table7_resnet101_largefov", 62.18),
        Row("with ASPP", "table7_resnet101_aspp", 62.76),
    ),
    "Table 9: Cityscapes val": (
        Row("VGG-16 LargeFOV, half resolution", "table9_vgg16_half", 62.97, 64.18),
        Row("VGG-16 LargeFOV, full resolution", "table9_vgg16_full", 64.89, 65.94),
        Row("ResNet-101", "table9_resnet101", 66.6), Row("+ LargeFOV", "table9_resnet101_largefov", 69.2),
        Row("ASPP instead", "table9_resnet101_aspp", 70.4), Row("+ Aug", "table9_resnet101_aug", 71.0, 71.4),
    ),
}  # fmt: skip


# By the first word of an experiment's name.
_DATASETS = dict.fromkeys(("table1", "table2", "table3", "table4"), "voc2012") | {
    "table6": "pascal_context", "table7": "pascal_person_part", "table9": "cityscapes",
}  # fmt: skip


def read_results(runs: str | os.PathLike, kept: str | os.PathLike) -> dict[str, dict]:
    """Experiment -> result.json: RUNS/NAME/eval/val/result.json, else KEPT/NAME.json. Results of a few pictures do not count.

    Raises:
      UserError: a file that cannot be read, or a result of another data set than its row's.
    """
    paths = {path.stem: path for path in sorted(pathlib.Path(kept).glob("*.json"))}
    paths |= {path.parents[2].name: path for path in sorted(pathlib.Path(runs).glob("*/eval/val/result.json"))}
    results = {}
    for name, path in paths.items():
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            whole, dataset = result.get("settings", {}).get("max_images") is None, result["dataset"]
            values = {"before": result["mean_iou"], "after": (result["crf"] or {}).get("mean_iou")}
            if not all(value is None or isinstance(value, float | int) for value in values.values()):
                raise ValueError(f"mean_iou is {values}")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read as the result of an evaluation ({error!r}); evaluate again.") from error
        wanted = _DATASETS.get(name.partition("_")[0], dataset)
        if dataset != wanted:
            raise UserError(f"{path}: is of {dataset}, expected {wanted} for the row {name}; give that run another name.")
        if whole:
            results[name] = values
    return results


def tables(results: Mapping[str, Mapping]) -> str:
    """Markdown: a table for each of the paper's, mIoU in % before / after the CRF, "–" where neither it nor we have one; then
    the runs that are no row of it."""
    parts = [_table(title, rows, results) for title, rows in TABLES.items()]
    of_paper = {row.run for rows in TABLES.values() for row in rows}
    own = [f"| `{name}` | {_pair(values)} |" for name, values in results.items() if name not in of_paper]
    if own:
        parts.append("\n".join(["**Runs of our own** (val)", "", "| experiment | before / after CRF |", "|---|---|", *own]))
    return "\n\n".join(parts) + "\n"


def _table(title: str, rows: Sequence[Row], results: Mapping[str, Mapping]) -> str:
    lines = [f"**{title}**", "", "| row | paper, before / after CRF | ours |", "|---|---|---|"]
    for row in rows:
        paper = {"before": row.before and row.before / 100, "after": row.after and row.after / 100}
        lines.append(f"| {row.label} | {_pair(paper, 2)} | {_pair(results[row.run], 2) if row.run in results else ''} |")
    return "\n".join(lines)


def _pair(values: Mapping, digits: int = 1) -> str:
    return " / ".join("–" if values[stage] is None else f"{100 * values[stage]:.{digits}f}" for stage in ("before", "after"))


def put_into(path: str | os.PathLike, text: str, check: bool = False, marks: tuple[str, str] = (BEGIN, END)) -> bool:
    """Puts the tables between the two marks of a file; returns whether they stood there already.

    Args:
      path: a Markdown file with the two lines `marks`.
      text: of `tables`.
      check: look only.
      marks: before and behind the tables.

    Raises:
      UserError: the file cannot be read or has no such lines, or the disk refuses.
    """
    path = pathlib.Path(path)
    try:
        whole = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected a Markdown file; correct the path.") from error
    head, begin, rest = whole.partition(f"{marks[0]}\n")
    _, end, tail = rest.partition(marks[1])
    if not begin or not end:
        raise UserError(f"{path}: has no place for the tables, expected the lines {marks[0]} and {marks[1]}; put them in.")
    made = f"{head}{begin}{text}{end}{tail}"
    if made != whole and not check:
        with replacing(path) as partial:
            partial.write_text(made, encoding="utf-8")
    return made == whole
