"""Which labels a run learns, and whether that is enough to tell anything apart."""

from __future__ import annotations

import numpy as np

from deeplab_tf.datasets import pipeline, sources
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError


def describe_classes(spec: DatasetSpec) -> str:
    """Which labels are classes: whether background counts is what users ask most."""
    names = ", ".join(f"{number} {name}" for number, name in enumerate(spec.class_names))
    return f"{spec.name}: {spec.num_classes} classes ({names}); {spec.ignore_label} is void, neither trained nor counted"


def require_classes(ignored: tuple[int, ...], spec: DatasetSpec, data_dir: str, split: str, read: bool = True) -> None:
    """Refuses a training set in which there is nothing to tell apart.

    Args:
      ignored: train ids that count as void.
      read: whether to look at the masks too, as far as the second class.

    Raises:
      UserError: ids that are no train ids, fewer than two classes that are left, or masks that hold fewer.
    """
    if ignored and (max(ignored) >= spec.num_classes or spec.num_classes - len(set(ignored)) < 2):
        raise UserError(
            f"--ignore_classes: got {','.join(map(str, ignored))}, expected train ids of {spec.name}, 0 to "
            f"{spec.num_classes - 1}, that leave two classes to tell apart; correct the list."
        )
    found: set[int] = set()
    with sources.errors(spec, data_dir, split):
        masks = pipeline.labels_of(sources.open_split(spec, data_dir, split)).as_numpy_iterator() if read else ()
        for mask in masks:
            found |= set(np.unique(mask).tolist()) - {spec.ignore_label, *ignored}
            if len(found) > 1:
                return
    if read:
        names = ", ".join(spec.class_names[number] for number in sorted(found)) or "no class"
        raise UserError(f"{data_dir}, split {split}: its masks hold {names} alone beside void, expected at least two classes; "
                        "check the masks and labels.txt (python -m deeplab_tf.check_data).")
