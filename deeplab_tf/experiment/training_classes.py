"""Which labels a run learns, and whether that is enough to tell anything apart."""

from __future__ import annotations

import logging

from deeplab_tf.datasets import sources
from deeplab_tf.datasets.foresight import foresee
from deeplab_tf.datasets.samples import is_records, present_splits
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

_log = logging.getLogger(__name__)


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
    if read:
        sources.refuse_one_class(spec, data_dir, split, ignored)


def foretell(
    spec: DatasetSpec, data_dir: str, train_split: str, eval_split: str, crop_size: int, ignored: tuple[int, ...]
) -> None:
    """Says in the log what will spoil a small training (`foresight.foresee`); of records nothing is said."""
    if is_records(data_dir):
        return
    there, _ = present_splits(spec, data_dir, (eval_split,))
    for sentence in foresee(spec, data_dir, train_split, eval_split if there else None, crop_size, ignored):
        _log.warning("%s", sentence)
