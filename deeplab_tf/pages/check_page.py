"""The page of `check_data`: findings, class frequencies and overlays to look at, one self-contained HTML file."""

from __future__ import annotations

import os
from collections import defaultdict

import numpy as np

from deeplab_tf.datasets import checks, statistics
from deeplab_tf.datasets.colors import train_id_colors
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.pages.pictures import overlay, photograph
from deeplab_tf.pages.rendering import render, save

_THUMBNAIL = 320  # pixels, longer side


def write_page(report: checks.CheckReport, path: str | os.PathLike, pictures: int = 24) -> None:
    """Writes the page; shows samples with findings first, then others spread evenly, `pictures` in all.

    Raises:
      UserError: the file cannot be written.
    """
    counts = ", ".join(f"{split}: {len(members):,} pictures" for split, members in report.checked.items())
    page = render(
        "check.html",
        title=f"check_data: {report.spec.name}",
        counts=counts,
        classes=_classes(report),
        figures=[_figure(report.spec, *shown) for shown in _chosen(report, pictures)],
        findings=[str(finding) for finding in report.findings],
    )
    save(path, page)


def _classes(report: checks.CheckReport) -> list[dict]:
    frequencies = report.frequencies()
    total = max(int(frequencies.pixels.sum()), 1)
    weights = statistics.median_frequency_weights(frequencies)
    rows = zip(frequencies.names, report.spec.palette, frequencies.pixels, frequencies.pictures, weights, strict=True)
    return [
        {"name": name, "color": color, "share": pixels / total, "pictures": pictures, "weight": weight}
        for name, color, pixels, pictures, weight in rows
    ]


def _chosen(report: checks.CheckReport, count: int) -> list[tuple[str, Sample, list[str]]]:
    """(split, sample, what is said of it) of the samples to show."""
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
    return [*at_fault, *(others[place] for place in places)]


def _figure(spec: DatasetSpec, split: str, sample: Sample, notes: list[str]) -> dict:
    pictures = [photograph(view, _THUMBNAIL) for view in _views(spec, sample)]
    return {"split": split, "id": sample.id, "notes": notes, "pictures": pictures}


def _views(spec: DatasetSpec, sample: Sample) -> list[np.ndarray]:
    """Picture and overlay, as far as the files allow."""
    try:
        image = read_image(sample.image)
    except (UserError, OSError):
        return []
    try:
        label = read_label(sample.label, spec)
        return [image, overlay(image, label, train_id_colors(spec))] if label.shape == image.shape[:2] else [image]
    except (UserError, OSError, TypeError):
        return [image]
