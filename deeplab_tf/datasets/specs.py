"""What a data set is: its label table, its splits, its published sizes. Standard library only."""

from __future__ import annotations

import dataclasses
import pathlib

from deeplab_tf.datasets import label_tables
from deeplab_tf.datasets.label_tables import VOID, Label
from deeplab_tf.errors import UserError

IGNORED_NAMES = ("void", "ignore", "unlabelled", "unlabeled")
RENDERED = ("miniature", "miniature_hard", "miniature_parts")  # drawn on first use, into data/NAME where nobody says
MAX_CLASSES = 254  # train ids are bytes; 254 marks "not in the table" inside the reader, 255 is void


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """A data set's label table and splits; knows no folder.

    Attributes:
      name: as `get_dataset` takes it.
      labels: rows of the label table, every id that may stand in a mask.
      splits: (name, published number of pictures or None) of every split.
      ignore_label: value of void pixels in what the readers return.
      void_color: RGB of void in colour masks (VOC's cream).
    """

    name: str
    labels: tuple[Label, ...]
    splits: tuple[tuple[str, int | None], ...]
    ignore_label: int = VOID
    void_color: tuple[int, int, int] = (224, 224, 192)

    @property
    def classes(self) -> tuple[Label, ...]:
        """The first label of every train id, in the order of train ids."""
        first: dict[int, Label] = {}
        for label in self.labels:
            if label.train_id != self.ignore_label:
                first.setdefault(label.train_id, label)
        return tuple(first[train_id] for train_id in sorted(first))

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by train id."""
        return tuple(label.name for label in self.classes)

    @property
    def ids(self) -> tuple[int, ...]:
        """The data set's own ids, as its masks hold them, by train id."""
        return tuple(label.id for label in self.classes)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB by train id."""
        return tuple(label.color for label in self.classes)

    @property
    def split_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.splits)

    @property
    def train_id_of(self) -> dict[int, int]:
        """Value in an index mask -> train id. 255 is void unless the table gives it to a class."""
        return {self.ignore_label: self.ignore_label} | {label.id: label.train_id for label in self.labels if label.id >= 0}

    @property
    def void_id(self) -> int | None:
        """Value to write for void into an index mask; None where a class has 255 and no value is void."""
        rows = (label.id for label in self.labels if label.id >= 0 and label.train_id == self.ignore_label)
        value = next(rows, self.ignore_label)
        return value if self.train_id_of[value] == self.ignore_label else None

    @property
    def train_id_of_color(self) -> dict[tuple[int, int, int], int]:
        """RGB in a colour mask -> train id. Where labels share a colour, the first trained one has it."""
        colors = {self.void_color: self.ignore_label}
        rows = sorted(self.labels, key=lambda label: label.train_id == self.ignore_label)
        for label in reversed(rows):
            colors[label.color] = label.train_id
        return colors

    def published_size(self, split: str) -> int | None:
        """Number of pictures the publication gives for `split`; None where there is none."""
        return dict(self.splits).get(split)


_SPLITS_OF_VOC = (
    ("train", 1464),
    ("train_aug", 10582),
    ("val", 1449),
    ("trainval", 2913),
    ("trainval_aug", 12031),
    ("test", 1456),
)
_COCO_SPLITS = (("train", 118287), ("val", 5000))

_SPECS = {
    spec.name: spec
    for spec in (
        DatasetSpec("voc2012", label_tables.VOC, _SPLITS_OF_VOC),
        DatasetSpec("pascal_context", label_tables.PASCAL_CONTEXT, (("train", 4998), ("val", 5105))),
        DatasetSpec("pascal_person_part", label_tables.PASCAL_PERSON_PART, (("train", 1716), ("val", 1817))),
        DatasetSpec(
            "cityscapes",
            label_tables.CITYSCAPES,
            (("train", 2975), ("val", 500), ("test", 1525), ("train_coarse", 2975), ("train_extra", 19998)),
        ),
        DatasetSpec("coco_voc", label_tables.VOC, tuple((name, None) for name, _ in _COCO_SPLITS)),
        DatasetSpec("coco", label_tables.COCO, _COCO_SPLITS),
        DatasetSpec("camvid", label_tables.CAMVID, (("train", 367), ("val", 101), ("test", 233))),
        DatasetSpec("miniature", label_tables.MINIATURE, (("train", 600), ("val", 100))),
        DatasetSpec("miniature_hard", label_tables.MINIATURE_HARD, (("train", 600), ("val", 150), ("pretrain", 1200))),
        DatasetSpec("miniature_parts", label_tables.MINIATURE_PARTS, (("train", 1200), ("val", 100))),
        DatasetSpec("folder", (), ()),
    )
}


def list_datasets() -> tuple[str, ...]:
    """Names that `get_dataset` takes."""
    return tuple(_SPECS)


def get_dataset(name: str, data_dir: str | pathlib.Path | None = None) -> DatasetSpec:
    """The spec of a data set.

    Args:
      name: one of `list_datasets()`.
      data_dir: only read for "folder", whose label table is the user's `data_dir/labels.txt`. Without it the table
        of "folder" is empty.

    Raises:
      UserError: unknown name, or a labels.txt that is missing or wrong.
    """
    if name not in _SPECS:
        raise UserError(f"Unknown data set {name!r}, expected one of {', '.join(_SPECS)}.")
    if name == "folder" and data_dir:
        return folder_spec(pathlib.Path(data_dir) / "labels.txt")
    return _SPECS[name]


def folder_spec(labels_file: str | pathlib.Path) -> DatasetSpec:
    """The spec of a user's own pictures, from a text file with one class a line.

    A line is `name`, or `id: name` where masks hold other values than 0, 1, 2, …, either one followed by a colour
    `#rrggbb` where masks are colour pictures. The name void (or ignore, unlabelled) marks values that are neither
    trained nor counted. Empty lines and lines that start with # are passed over. Example for 0/128/255 masks:

        0: background
        255: cat
        128: void

    Raises:
      UserError: the file is missing, empty, names an id or a class twice, gives two classes one colour (which a class without
        one has by its place), or a line cannot be read.
    """
    path = pathlib.Path(labels_file)
    if not path.parent.is_dir():
        where = relative_to(path)
        raise UserError(f"{path.parent}: no such folder{where}, expected the one that holds {path.name}; correct the path.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file, expected one class name a line; data/README.md shows one.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected one class name a line; replace it.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text in UTF-8, expected one class name a line; save it as text.") from error
    labels: list[Label] = []
    of_color: dict[tuple[int, int, int], Label] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            label = _parse_label(line.strip(), labels, f"{path}:{number}")
            labels.append(label)
            if label.train_id != VOID or "#" in line:  # the colour that void has by its place means nothing
                _require_own_color(label, of_color, f"{path}:{number}: got {line.strip()!r}")
    classes = sum(label.train_id != VOID for label in labels)
    if not 2 <= classes <= MAX_CLASSES:
        raise UserError(f"{path}: got {classes} classes, expected 2 to {MAX_CLASSES}, one name a line.")
    return DatasetSpec("folder", tuple(labels), ())


def relative_to(path: pathlib.Path) -> str:
    """For messages: where a relative path was looked for; nothing where it is absolute."""
    return "" if path.is_absolute() else f" in the current folder {pathlib.Path.cwd()}"


def _require_own_color(label: Label, of_color: dict[tuple[int, int, int], Label], got: str) -> None:
    other = of_color.setdefault(label.color, label)
    if other.train_id != label.train_id:
        raise UserError(
            f"{got}, but its colour #{bytes(label.color).hex()} is already that of {other.name!r}; write a #rrggbb of its own "
            "behind each."
        )


def _parse_label(text: str, before: list[Label], where: str) -> Label:
    head, hash_, color_text = text.rpartition("#")
    name = (head if hash_ else text).strip()
    first, colon, rest = name.partition(":")
    label_id = len(before)
    if colon:
        if not first.strip().isdigit() or int(first) > 65535:
            raise UserError(f"{where}: got {text!r}, expected `name`, `id: name` or `id: name #rrggbb`, id 0..65535.")
        label_id, name = int(first), rest.strip()
    train_id = sum(label.train_id != VOID for label in before)
    color: tuple[int, ...] = label_tables.voc_color(train_id % 256)
    if hash_:
        try:
            color = tuple(bytes.fromhex(color_text.strip()))
        except ValueError:
            color = ()
    if not name or len(color) != 3:
        raise UserError(f"{where}: got {text!r}, expected `name`, `id: name` or `id: name #rrggbb`.")
    if name.lower() in IGNORED_NAMES:
        train_id = VOID
    for label in before:
        if label.id == label_id or (label.name == name and train_id != VOID):
            raise UserError(f"{where}: got {text!r}, but id {label.id} is already {label.name!r}; give each class one line.")
    return Label(name, label_id, train_id, color)
