"""What will spoil a small training, said before its first step: one sentence each, in the order of what they cost."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from deeplab_tf.datasets import pipeline, sequences, statistics, wrong_files
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import DatasetSpec

_FEW_PICTURES = 5
_SELDOM = 0.01  # of all crops
_LEAST_PIXELS = 64  # of a class in a crop: one position of the logits
_MOST_PIXELS = 512  # longer side of a mask on which crops are counted
_MOST_PICTURES = 1000  # a training on more is not small, and reading them would take minutes


def foresee(
    spec: DatasetSpec,
    data_dir: str | os.PathLike,
    train_split: str,
    eval_split: str | None,
    crop_size: int,
    ignored: Collection[int] = (),
) -> list[str]:
    """Everything of this file that can be said of a training; reads all its pictures and masks, at most 1,000.

    Args:
      spec, data_dir: as `list_samples` takes them; no records.
      train_split, eval_split: what is trained and evaluated on; None: nothing is evaluated.
      crop_size: side of the crops in pixels.
      ignored: train ids that count as void.

    Raises:
      UserError: naming the first file that is missing or cannot be read.
    """
    train = list_samples(spec, data_dir, train_split)
    held_out = list_samples(spec, data_dir, eval_split) if eval_split else ()
    if len(train) + len(held_out) > _MOST_PICTURES:
        return []
    labels, trained = [], {}
    with wrong_files.user_errors(spec, train):
        for example, sample in zip(pipeline.examples_of(pipeline.files(spec, train)).as_numpy_iterator(), train, strict=True):
            labels.append(example["label"])
            trained[sample.id] = sequences.thumbnail(example["image"])
    histograms = np.array([np.bincount(label.ravel(), minlength=256) for label in labels])
    said = rare_classes(statistics.from_histograms(spec, histograms), len(labels), ignored)
    said += seldom_in_crops(spec.class_names, labels, crop_size, ignored)
    paths = {sample.image for sample in train}
    # Not by the pipeline: held-out pictures may have no masks.
    held = {sample.id: sequences.thumbnail(read_image(sample.image)) for sample in held_out if sample.image not in paths}
    for look in (copies, shared_sequences):
        said += look(trained, held, train_split, eval_split or "")
    return said


def rare_classes(frequencies: statistics.ClassFrequencies, pictures: int, ignored: Collection[int] = ()) -> list[str]:
    """Classes that none of the pictures holds, or fewer than five and not all of them."""
    counts = {k: int(count) for k, count in enumerate(frequencies.pictures) if k not in ignored}
    none = [k for k, count in counts.items() if count == 0]
    few = {frequencies.names[k]: count for k, count in counts.items() if 0 < count < min(_FEW_PICTURES, pictures)}
    said = []
    if none:
        names, flag = ", ".join(frequencies.names[k] for k in none), ",".join(map(str, [*ignored, *none]))
        said.append(
            f"no training picture holds {names}, which can only score 0; add pictures, or leave them out with "
            f"--ignore_classes={flag}."
        )
    if few:
        listed = ", ".join(f"{name} ({count})" for name, count in few.items())
        said.append(f"few training pictures hold {listed}: what is learned is how they look there; add pictures of them.")
    return said


def seldom_in_crops(
    names: Sequence[str], labels: Sequence[np.ndarray], crop_size: int, ignored: Collection[int] = ()
) -> list[str]:
    """Classes that hardly any crop will hold, of those that the masks hold at all."""
    shares = np.mean([crop_shares(label, len(names), crop_size) for label in labels], axis=0)
    present = np.sum([np.bincount(label.ravel(), minlength=256)[: len(names)] for label in labels], axis=0) > 0
    seldom = [
        f"{name} ({share:.2%})"
        for train_id, (name, share) in enumerate(zip(names, shares, strict=True))
        if present[train_id] and share < _SELDOM and train_id not in ignored
    ]
    if not seldom:
        return []
    return [
        f"hardly any crop of {crop_size} pixels will hold {', '.join(seldom)}, which are then hardly trained; take a "
        "larger --crop_size or --class_weights=median_frequency, or add pictures of them."
    ]


def crop_shares(label: np.ndarray, num_classes: int, crop_size: int) -> np.ndarray:
    """Share of all places of a crop that hold at least 64 pixels of a class, float64 [classes], at scale 1.

    Args:
      label: uint8 [height, width] train ids.
      num_classes: how many.
      crop_size: side in pixels; a smaller picture is one crop.
    """
    step = -(-max(label.shape) // _MOST_PIXELS)
    label, side, least = label[::step, ::step], max(crop_size // step, 1), max(_LEAST_PIXELS // step**2, 1)
    rows, columns = (min(side, size) for size in label.shape)
    shares = np.zeros(num_classes)
    for train_id in np.flatnonzero(np.bincount(label.ravel(), minlength=256)[:num_classes]):
        sums = np.pad(np.cumsum(np.cumsum(label == train_id, 0, dtype=np.int32), 1), ((1, 0), (1, 0)))
        inside = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
        shares[train_id] = np.mean(inside >= least)
    return shares


def copies(trained: Mapping[str, np.ndarray], held_out: Mapping[str, np.ndarray], train: str, held: str) -> list[str]:
    """Held-out pictures that look the same as one that is trained on.

    Args:
      trained, held_out: id -> thumbnail.
      train, held: names of the splits.
    """
    found = sequences.near_duplicates(trained, held_out)
    if not found:
        return []
    name, same = next(iter(found.items()))
    return [
        f"{held}: {len(found):,} of {len(held_out):,} pictures look the same as one of {train} ({name} as {same}), so its "
        "figures flatter; take them out of one of the two."
    ]


def shared_sequences(trained: Mapping[str, np.ndarray], held_out: Mapping[str, np.ndarray], train: str, held: str) -> list[str]:
    """Held-out pictures that are frames of sequences that are trained on; arguments as of `copies`."""
    frames = sequences.same_sequence(trained, held_out)
    if not frames:
        return []
    return [
        f"{held}: {len(frames):,} of {len(held_out):,} pictures are frames of sequences that {train} holds too, by number "
        f"and looks ({frames[0]}), so its figures flatter; hold out whole sequences."
    ]
