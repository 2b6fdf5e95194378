"""Values in masks that the label table does not hold: what they may be meant as, and what the user says they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from deeplab_tf.datasets.sample_check import Checked, known_values
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError

_MOST_VALUES = 20  # that a proposal lists


def propose_mapping(spec: DatasetSpec, checked: Sequence[Checked]) -> dict[int, int]:
    """Value -> train id, a guess at what unknown values are meant as; empty where there is none. Nothing is changed by it.

    No 0 but 1..K: everything is one too high. As many unknown values as classes that no mask holds: in order. Ids that the
    table holds stay what they are, but in the first case.
    """
    values, present, unknown = set(), set(), sorted(unknown_values(spec, checked))
    for one in checked:
        known = _known(spec, one)
        values |= {value for value in _numbers(one) if known.get(value) != spec.ignore_label}
        present |= {known[value] for value in _numbers(one) if value in known}
    free = [train_id for train_id in range(spec.num_classes) if train_id not in present]
    if not unknown:
        return {}
    if values <= set(range(1, spec.num_classes + 1)) and spec.ids == tuple(range(spec.num_classes)):
        return {value: value - 1 for value in sorted(values)}
    return dict(zip(unknown, free, strict=True)) if len(unknown) == len(free) else {}


def proposal(spec: DatasetSpec, checked: Sequence[Checked], guess: Mapping[int, int]) -> str | None:
    """Unknown values with the pixels and masks that hold them, what --fix does with them, and the guess; None without any."""
    pixels, masks = Counter(), Counter()
    for one in checked:
        unknown = unknown_values(spec, [one])
        pixels.update({value: one.values[value] for value in unknown})
        masks.update(unknown)
    if not pixels:
        return None
    counts = [f"{value} (pixels: {pixels[value]:,}, masks: {masks[value]:,})" for value in sorted(pixels)]
    listed = ", ".join(counts[:_MOST_VALUES])
    more = f" and {len(pixels) - _MOST_VALUES:,} more" if len(pixels) > _MOST_VALUES else ""
    said = f"values outside the label table: {listed}{more}; --fix=NEWDIR makes them void, "
    if not guess:
        return f"{said}or with --mapping=VALUE:ID,… what you say"
    meant = ", ".join(f"{value} is {spec.class_names[train_id]}" for value, train_id in guess.items())
    pairs = ",".join(f"{value}:{spec.ids[train_id]}" for value, train_id in guess.items())
    return f"{said}and only with --mapping={pairs} what they may be meant as ({meant})"


def parse_mapping(spec: DatasetSpec, pairs: Sequence[str]) -> dict[int, int]:
    """Value -> train id of `VALUE:ID` texts; ID is one of the label table, or void.

    Raises:
      UserError: a pair that cannot be read, an id that the table does not hold, a value given twice.
    """
    targets = {str(value): train_id for value, train_id in spec.train_id_of.items()} | {"void": spec.ignore_label}
    mapping = {}
    for pair in pairs:
        value, _, target = (part.strip() for part in pair.partition(":"))
        if not value.isdecimal() or not target:
            raise UserError(f"--mapping: got {pair!r}, expected VALUE:ID pairs such as 128:1,200:void.")
        if target not in targets:
            raise UserError(f"--mapping={pair}: the label table has no id {target}, expected one of {', '.join(targets)}.")
        if int(value) in mapping:
            raise UserError(f"--mapping: {value} stands twice, expected one id for every value.")
        mapping[int(value)] = targets[target]
    return mapping


def unknown_values(spec: DatasetSpec, checked: Iterable[Checked]) -> set[int]:
    """Values of index masks that the label table does not hold."""
    return {value for one in checked for value in _numbers(one) - set(_known(spec, one))}


def _known(spec: DatasetSpec, one: Checked) -> dict[int, int]:
    return known_values(spec, one.sample.label) if one.sample.label is not None else {}


def _numbers(one: Checked) -> set[int]:
    return {value for value in one.values if isinstance(value, int)}
