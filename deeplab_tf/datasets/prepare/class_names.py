"""From the classes that shapes name to the ids in masks, and the labels.txt that goes with them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from deeplab_tf.datasets.label_tables import VOID, Label, numbered
from deeplab_tf.datasets.specs import IGNORED_NAMES, MAX_CLASSES, DatasetSpec, folder_spec
from deeplab_tf.errors import UserError

BACKGROUND = "background"
_OTHER_NAMES = {"_background_": BACKGROUND, "__ignore__": "ignore"}  # LabelMe's


@dataclasses.dataclass(frozen=True)
class ClassTable:
    """The ids of the classes.

    Attributes:
      spec: the data set "folder" with these classes.
      text: its labels.txt.
      unlabelled: value of pixels without a shape.
      void: value of shapes called void or ignore.
    """

    spec: DatasetSpec
    text: str
    unlabelled: int
    void: int

    def value(self, name: str) -> int | None:
        """What the mask holds for a class; None where it is not in the table."""
        name = plain(name)
        known = {plain(label.name): label.id for label in self.spec.labels}
        return known.get(name, self.void if name.lower() in IGNORED_NAMES else None)


def plain(name: str) -> str:
    """A class as labels.txt has it: on one line, without blanks around it that nobody sees, and LabelMe's own names as ours."""
    name = " ".join(name.split())
    return _OTHER_NAMES.get(name, name)


def from_names(names: Sequence[str], unlabelled: str) -> ClassTable:
    """Classes 0, 1, 2, … in the order of `names`, `background` first where it is one of them or what is unlabelled.

    Args:
      unlabelled: "background" or "void".

    Raises:
      UserError: less than two classes, or more than a mask has values for.
    """
    names = [name for name in map(plain, names) if name]
    first = [BACKGROUND] if unlabelled == BACKGROUND or BACKGROUND in names else []
    classes = list(dict.fromkeys(first + [name for name in names if name.lower() not in IGNORED_NAMES]))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise UserError(
            f"The annotations name {len(classes)} classes ({', '.join(classes[:5])}), expected 2 to {MAX_CLASSES}; "
            "choose --unlabelled=background, or name the classes in a file and give it as --labels."
        )
    labels = numbered(classes)
    text = "".join(f"{label.id}: {label.name} #{bytes(label.color).hex()}\n" for label in labels)
    return ClassTable(DatasetSpec("folder", labels, ()), text, 0 if unlabelled == BACKGROUND else VOID, VOID)


def from_file(path: str | os.PathLike, unlabelled: str) -> ClassTable:
    """The classes and ids of a labels.txt.

    Raises:
      UserError: it cannot be read, has ids above 255, or no value for what is unlabelled.
    """
    spec = folder_spec(path)
    if max(label.id for label in spec.labels) > 255:
        raise UserError(
            f"{path}: got id {max(label.id for label in spec.labels)}, expected at most 255 in a palette PNG; "
            "number the classes anew."
        )
    void = next((label.id for label in spec.labels if label.train_id == VOID), VOID)
    value = void if unlabelled == "void" else _id_of(spec.labels, BACKGROUND)
    if value is None:
        raise UserError(
            f"{path}: holds no class {BACKGROUND!r}, which --unlabelled=background needs; add it, or give --unlabelled=void."
        )
    if value == void and void in spec.ids:
        raise UserError(
            f"{path}: gives {void} to a class and names no void, which --unlabelled=void needs; add a line `id: void`."
        )
    return ClassTable(spec, pathlib.Path(path).read_text(encoding="utf-8-sig"), value, void)


def _id_of(labels: Sequence[Label], name: str) -> int | None:
    return next((label.id for label in labels if label.name == name), None)
