"""Values in masks that the label table does not hold: what they may be meant as, and what the user says they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from deeplab_tf.datasets.sample_check import Checked, known_values
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

_MOST_VALUES = 20  # that a proposal lists
_REST = "rest"


def propose_mapping(spec: DatasetSpec, checked: Iterable[Checked]) -> dict[int, int]:
    """Value -> train id for masks that do not keep to the label table; empty where all do. Nothing is changed by it.

    No 0 but 1..K: everything is one too high. As many unknown values as classes that no mask holds: in order. Else what is
    unknown is void. Apart from the first case ids that the table holds stay what they are.
    """
    values, unknown, present = set(), set(), set()
    for one in checked:
        if one.sample.label is not None:
            known, numbers = known_values(spec, one.sample.label), _numbers(one)
            values |= {value for value in numbers if known.get(value) != spec.ignore_label}
            unknown |= numbers - set(known)
            present |= {known[value] for value in numbers & set(known)}
    free = [train_id for train_id in range(spec.num_classes) if train_id not in present]
    if not unknown:
        return {}
    if values <= set(range(1, spec.num_classes + 1)) and spec.ids == tuple(range(spec.num_classes)):
        return {value: value - 1 for value in sorted(values)}
    if len(unknown) == len(free):
        return dict(zip(sorted(unknown), free, strict=True))
    return dict.fromkeys(sorted(unknown), spec.ignore_label)


def proposal(spec: DatasetSpec, checked: Sequence[Checked], mapping: dict[int, int]) -> str:
    """The mapping with the pixels and masks that it concerns, and how to apply it."""
    pixels, masks = Counter(), Counter()
    for one in checked:
        pixels.update({value: one.values[value] for value in _numbers(one)})
        masks.update(_numbers(one))
    rows = [
        f"{value} (pixels: {pixels[value]:,}, masks: {masks[value]:,}) -> {_named(spec, train_id)}"
        for value, train_id in sorted(mapping.items())
    ]
    more = f" and {len(rows) - _MOST_VALUES:,} more" if len(rows) > _MOST_VALUES else ""
    pairs = ",".join(f"{value}:{_target(spec, train_id)}" for value, train_id in sorted(mapping.items()))
    if more and set(mapping.values()) == {spec.ignore_label}:
        pairs = f"{_REST}:void"
    moves = " (ids of the label table move: is everything one too high?)" if set(mapping) & set(spec.train_id_of) else ""
    listed = ", ".join(rows[:_MOST_VALUES]) + more
    return (f"values outside the label table, perhaps meant so{moves}: {listed}; if that is right, --fix=NEWDIR "
            f"--mapping={pairs} applies it")


def parse_mapping(spec: DatasetSpec, pairs: Sequence[str]) -> dict[int | str, int]:
    """Value -> train id of `VALUE:ID` texts; ID is one of the label table or void, VALUE a number or `rest`: all others
    that the table does not hold.

    Raises:
      UserError: a pair that cannot be read, an id that the table does not hold, a value given twice.
    """
    targets = {str(value): train_id for value, train_id in spec.train_id_of.items()} | {"void": spec.ignore_label}
    mapping: dict[int | str, int] = {}
    for pair in pairs:
        value, _, target = (part.strip() for part in pair.partition(":"))
        if not (value == _REST or value.isdecimal()) or not target:
            raise UserError(f"--mapping: got {pair!r}, expected VALUE:ID pairs such as 128:1,200:void, or {_REST}:void.")
        if target not in targets:
            raise UserError(f"--mapping={pair}: the label table has no id {target}, expected one of {', '.join(targets)}.")
        value = value if value == _REST else int(value)
        if value in mapping:
            raise UserError(f"--mapping: {value} stands twice, expected one id for every value.")
        mapping[value] = targets[target]
    return mapping


def complete(mapping: dict[int | str, int], spec: DatasetSpec, checked: Iterable[Checked]) -> dict[int, int]:
    """The mapping with `rest` spelt out."""
    unknown = {value for one in checked for value in _numbers(one) if value not in known_values(spec, one.sample.label)}
    rest = dict.fromkeys(unknown, mapping[_REST]) if _REST in mapping else {}
    return rest | {value: train_id for value, train_id in mapping.items() if value != _REST}


def _numbers(one: Checked) -> set[int]:
    return {value for value in one.values if isinstance(value, int)}


def _target(spec: DatasetSpec, train_id: int) -> str:
    return "void" if train_id == spec.ignore_label else str(spec.ids[train_id])


def _named(spec: DatasetSpec, train_id: int) -> str:
    return "void" if train_id == spec.ignore_label else f"{spec.ids[train_id]} ({spec.class_names[train_id]})"
