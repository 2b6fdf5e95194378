"""Whether the data's label table says the same as the run's: outputs of the network and values of the masks mean one thing."""

from __future__ import annotations

import dataclasses

from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

VOID = "void"


def spec_for_masks(run: DatasetSpec, data: DatasetSpec, match_names: bool = False) -> DatasetSpec:
    """The table to read the data's masks by, with the run's classes in the run's order.

    Args:
      run: the label table that the run was trained with.
      data: the one that lies beside the data now.
      match_names: where the two differ, the masks go by the data's, whose classes are the run's of the same name.

    Raises:
      UserError: the tables differ and `match_names` is not given, or a class has no namesake in the run.
    """
    difference = _difference(run, data)
    if difference is None:
        return run
    if not match_names:
        raise UserError(
            f"labels of {data.name}: {difference}, expected the table that the run was trained with; put it back, or where the "
            "masks do go by the one beside them give --match_names."
        )
    number = {name: k for k, name in enumerate(run.class_names)}
    strange = [label.name for label in data.classes if label.name not in number]
    if strange:
        raise UserError(
            f"--match_names: {', '.join(strange)} of the data's labels is no class of the run, expected some of "
            f"{', '.join(number)}; mend the names."
        )
    rows = [
        dataclasses.replace(label, train_id=number[label.name]) if label.train_id != data.ignore_label else label
        for label in data.labels
    ]
    missing = [dataclasses.replace(label, id=-1) for label in run.classes if label.name not in data.class_names]
    return dataclasses.replace(data, labels=(*rows, *missing))


def _difference(run: DatasetSpec, data: DatasetSpec) -> str | None:
    """The first value of a mask that the two tables name differently, in words."""
    for what, of_run, of_data in (("", _by_id(run), _by_id(data)), ("colour ", *_shared(_by_color(run), _by_color(data)))):
        for value in sorted(of_run | of_data):
            meant, means = of_run.get(value, VOID), of_data.get(value, VOID)
            if meant != means:
                return f"{what}{value} is {means!r} beside the data and was {meant!r} in training"
    return None


def _by_id(spec: DatasetSpec) -> dict[int, str]:
    return {value: _name(spec, train_id) for value, train_id in spec.train_id_of.items()}


def _by_color(spec: DatasetSpec) -> dict[tuple, str]:
    return {color: _name(spec, train_id) for color, train_id in spec.train_id_of_color.items()}


def _shared(one: dict, other: dict) -> tuple[dict, dict]:
    """A colour that only one table knows is refused when a mask holds it."""
    common = one.keys() & other.keys()
    return {key: one[key] for key in common}, {key: other[key] for key in common}


def _name(spec: DatasetSpec, train_id: int) -> str:
    return VOID if train_id == spec.ignore_label else spec.class_names[train_id]
