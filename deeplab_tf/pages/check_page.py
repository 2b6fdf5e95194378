"""The page of `check_data`: findings, class frequencies and overlays to look at, one self-contained HTML file."""

from __future__ import annotations

import base64
import html
import os
import pathlib
from collections import defaultdict

import cv2
import numpy as np

from deeplab_tf.datasets import checks, statistics
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import make_folder, replacing

_THUMBNAIL = 320  # pixels, longer side

_STYLE = """body{font:14px sans-serif;margin:2em;color:#222}figure{display:inline-block;margin:6px;vertical-align:top}
figcaption{max-width:640px;overflow-wrap:anywhere}table{border-collapse:collapse}td,th{padding:2px 10px;text-align:right}
td:first-child,th:first-child{text-align:left}.swatch{display:inline-block;width:1em;height:1em;margin-right:.5em}
.fault{color:#b00}"""


def write_page(report: checks.CheckReport, path: str | os.PathLike, pictures: int = 24) -> None:
    """Writes the page; shows samples with findings first, then others spread evenly, `pictures` in all.

    Raises:
      UserError: the file cannot be written.
    """
    title = html.escape(f"check_data: {report.spec.name}")
    parts = [f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"]
    parts += [_summary(report), _class_table(report), "<h2>Pictures</h2>", *_figures(report, pictures), _findings(report)]
    path = pathlib.Path(path)
    make_folder(path.parent)
    with replacing(path) as partial:
        partial.write_text("\n".join(parts), encoding="utf-8")


def overlay(spec: DatasetSpec, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Picture and mask in the data set's colours, half and half; uint8 [height, width, 3]."""
    colors = np.zeros((256, 3), np.uint8)
    colors[: spec.num_classes] = spec.palette
    colors[spec.ignore_label] = spec.void_color
    return cv2.addWeighted(image, 0.45, colors[label], 0.55, 0)


def _summary(report: checks.CheckReport) -> str:
    counts = ", ".join(f"{split}: {len(members):,} pictures" for split, members in report.checked.items())
    return f"<p>{html.escape(counts)}; {len(report.findings):,} findings.</p>"


def _class_table(report: checks.CheckReport) -> str:
    frequencies = report.frequencies()
    total = max(int(frequencies.pixels.sum()), 1)
    weights = statistics.median_frequency_weights(frequencies)
    rows = zip(frequencies.names, report.spec.palette, frequencies.pixels, frequencies.pictures, weights, strict=True)
    lines = [
        f'<tr><td><span class=swatch style="background:rgb{color}"></span>{html.escape(name)}</td>'
        f"<td>{pixels / total:.3%}</td><td>{pictures:,}</td><td>{weight:.2f}</td></tr>"
        for name, color, pixels, pictures, weight in rows
    ]
    head = "<tr><th>class</th><th>pixels</th><th>pictures</th><th>median-frequency weight</th></tr>"
    return f"<h2>Classes</h2><table>{head}{''.join(lines)}</table>"


def _figures(report: checks.CheckReport, count: int) -> list[str]:
    said = defaultdict(list)
    for finding in report.findings:
        said[finding.file].append(finding.text)
    at_fault, others = [], []
    for split, members in report.checked.items():
        for one in members:
            notes = list(dict.fromkeys(said[one.sample.image] + said[one.sample.label]))
            (at_fault if notes else others).append((split, one.sample, notes))
    at_fault = at_fault[:count]
    places = np.linspace(0, max(len(others) - 1, 0), min(max(count - len(at_fault), 0), len(others))).astype(int)
    return [_figure(report.spec, *shown) for shown in [*at_fault, *(others[place] for place in places)]]


def _figure(spec: DatasetSpec, split: str, sample: Sample, notes: list[str]) -> str:
    faults = "".join(f"<div class=fault>{html.escape(note)}</div>" for note in notes)
    caption = f"<figcaption>{html.escape(split)}: {html.escape(sample.id)}{faults}</figcaption>"
    return f"<figure>{''.join(map(_embedded, _views(spec, sample)))}{caption}</figure>"


def _views(spec: DatasetSpec, sample: Sample) -> list[np.ndarray]:
    """Picture and overlay, as far as the files allow."""
    try:
        image = read_image(sample.image)
    except (UserError, OSError):
        return []
    try:
        label = read_label(sample.label, spec)
        return [image, overlay(spec, image, label)] if label.shape == image.shape[:2] else [image]
    except (UserError, OSError, TypeError):
        return [image]


def _embedded(image: np.ndarray) -> str:
    scale = _THUMBNAIL / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt="">'


def _findings(report: checks.CheckReport) -> str:
    items = "".join(f"<li>{html.escape(str(finding))}</li>" for finding in report.findings)
    return f"<h2>Findings</h2><ul>{items or '<li>none</li>'}</ul>"
