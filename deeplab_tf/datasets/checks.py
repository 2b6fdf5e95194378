"""Looks through a data set for what would spoil a training: wrong files, unknown ids, leaks from train to val."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import tqdm

from deeplab_tf.datasets import foresight, sequences, statistics
from deeplab_tf.datasets.mapping import proposal, propose_mapping
from deeplab_tf.datasets.sample_check import Checked, Finding, check_sample, hex_color
from deeplab_tf.datasets.samples import Sample, find_samples, masks_without_pictures
from deeplab_tf.datasets.specs import DatasetSpec

_MOST_COLORS = 20  # that a finding lists


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """All findings; `mapping` is a guess at values that the label table does not hold (value -> train id)."""

    spec: DatasetSpec
    checked: dict[str, list[Checked]]
    findings: tuple[Finding, ...]
    mapping: dict[int, int]

    def summary(self) -> str:
        """How much was looked at and how much is wrong, for people."""
        pictures = sum(map(len, self.checked.values()))
        count = len(self.findings)
        found = f"{count:,} finding{'s' if count > 1 else ''}" if count else "nothing wrong found"
        return f"{found} in {pictures:,} pictures and their masks ({', '.join(self.checked)})"

    def notes(self) -> list[str]:
        """What is nobody's mistake, but spoils a training on the first split or flatters an evaluation on another."""
        (train, first), *others = self.checked.items()
        if not train.startswith("train"):
            return []
        said = foresight.rare_classes(_frequencies(self.spec, first), len(first))
        for split, members in others:
            said += foresight.shared_sequences(_thumbnails(first, "id"), _thumbnails(members, "id"), train, split)
        return said

    def frequencies(self) -> statistics.ClassFrequencies:
        return _frequencies(self.spec, [one for members in self.checked.values() for one in members])


def _frequencies(spec: DatasetSpec, members: Sequence[Checked]) -> statistics.ClassFrequencies:
    found = [one.histogram for one in members if one.histogram is not None]
    return statistics.from_histograms(spec, np.array(found, np.int64).reshape(-1, 256))


def check_data(
    spec: DatasetSpec, data_dir: str | os.PathLike, splits: Sequence[str], threads: int | None = None
) -> CheckReport:
    """Checks every picture and mask of the splits; shows its progress on stderr.

    Raises:
      UserError: a folder or list is missing, a split unknown; all else is a finding.
    """
    listed = {split: find_samples(spec, data_dir, split) for split in splits}
    samples = [sample for members in listed.values() for sample in members]
    with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        results = pool.map(lambda sample: check_sample(spec, sample), samples)
        everything = list(tqdm.tqdm(results, total=len(samples), unit="picture", dynamic_ncols=True))
    left = iter(everything)
    checked = {split: [next(left) for _ in members] for split, members in listed.items()}
    mapping = propose_mapping(spec, everything)
    findings = [finding for one in everything for finding in one.findings]
    findings += (
        duplicate_ids(checked) + shared_masks(samples) + near_duplicates(checked) + unused_classes(spec, everything, data_dir)
    )
    findings += unnamed_colors(spec, everything, data_dir)
    lonely = (mask for split in splits for mask in masks_without_pictures(spec, data_dir, split))
    findings += [Finding(mask, "a mask without a picture of that name; it is not used") for mask in lonely]
    unknown = proposal(spec, everything, mapping)
    if unknown:
        findings.append(Finding(os.fspath(data_dir), unknown))
    return CheckReport(spec, checked, tuple(findings), mapping)


def duplicate_ids(checked: dict[str, list[Checked]]) -> list[Finding]:
    findings = []
    for split, members in checked.items():
        counts = Counter(one.sample.id for one in members)
        for one in members:
            if counts.pop(one.sample.id, 1) > 1:
                findings.append(Finding(one.sample.image, f"id {one.sample.id!r} stands more than once in split {split!r}"))
    return findings


def shared_masks(samples: Iterable[Sample]) -> list[Finding]:
    """Masks that are those of several pictures, in one split or in two."""
    pictures = defaultdict(dict)
    for sample in samples:
        if sample.label is not None:
            pictures[os.path.abspath(sample.label)].setdefault(os.path.realpath(sample.image), sample.image)
    several = {mask: list(images.values()) for mask, images in pictures.items() if len(images) > 1}
    text = "is the mask of {:,} pictures, {} and {} among them; give each its own, in the list beside the picture"
    return [Finding(mask, text.format(len(images), *images[:2])) for mask, images in several.items()]


def near_duplicates(checked: dict[str, list[Checked]]) -> list[Finding]:
    """Pictures of a later split that look the same as one of an earlier split."""
    findings, splits = [], list(checked)
    for place, split in enumerate(splits):
        for other in splits[:place]:
            same = sequences.near_duplicates(_thumbnails(checked[other], "image"), _thumbnails(checked[split], "image"))
            findings += [Finding(image, f"looks the same as {first} of split {other!r}") for image, first in same.items()]
    return findings


def _thumbnails(members: list[Checked], name: str) -> dict[str, np.ndarray]:
    """By id or by path, as `name` says."""
    return {getattr(one.sample, name): one.thumbnail for one in members if one.thumbnail is not None}


def unused_classes(spec: DatasetSpec, checked: Sequence[Checked], data_dir: str | os.PathLike) -> list[Finding]:
    """Masks that hold nothing but 0 and 255 although 255 is void: most likely meant as two classes."""
    values = set().union(*(one.values for one in checked))
    if values == {0, 255} and spec.train_id_of.get(255) == spec.ignore_label and spec.name == "folder":
        text = "all masks hold only 0 and 255, and 255 is void; if 255 is a class, write `255: name` into labels.txt"
        return [Finding(os.fspath(data_dir), text)]
    return []


def unnamed_colors(spec: DatasetSpec, checked: Iterable[Checked], data_dir: str | os.PathLike) -> list[Finding]:
    """Colours of a user's colour masks that labels.txt gives to no class, with their shares and the cure."""
    pixels = Counter()
    for one in checked:
        pixels.update({value: count for value, count in one.values.items() if isinstance(value, tuple)})
    unnamed = [color for color, _ in pixels.most_common() if color not in spec.train_id_of_color]
    if not unnamed or spec.name != "folder":
        return []
    listed = ", ".join(f"{hex_color(color)} ({pixels[color] / pixels.total():.2%})" for color in unnamed[:_MOST_COLORS])
    more = f" and {len(unnamed) - _MOST_COLORS:,} more" if len(unnamed) > _MOST_COLORS else ""
    text = (
        f"colours of no class in labels.txt: {listed}{more}; write each behind its class there, as in "
        f"`{spec.class_names[-1]} {hex_color(unnamed[0])}` or `void {hex_color(unnamed[-1])}` (--fix leaves these masks out)"
    )
    return [Finding(os.fspath(data_dir), text)]
