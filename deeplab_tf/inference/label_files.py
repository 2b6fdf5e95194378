"""The files that are written of one picture: its label map in several forms, each whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.errors import UserError
from deeplab_tf.inference import annotation_files as annotations
from deeplab_tf.inference.picture_files import is_video
from deeplab_tf.pages.pictures import overlay
from deeplab_tf.whole_files import make_folder, replacing

_CHECKSUM = "picture md5"  # keyword of a PNG's text


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is known of one picture.

    Attributes:
      image: uint8 [height, width, 3] RGB.
      labels: integer [height, width] class ids.
      probabilities: float32 [height, width, K]; None where no file needs them.
      name: the picture's file with the sub-folders that results keep.
      source: its path as seen from the folder of its results.
      checksum: of its file; where it is given, label maps carry it, see `checksum_in`.
    """

    image: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray | None = None
    name: str = ""
    source: str = ""
    checksum: str | None = None


@dataclasses.dataclass(frozen=True)
class Done:
    """One of the pictures that are done, as tables of all pictures need it.

    Attributes:
      name: of its results, with sub-folders.
      file_name: the picture's file with the same sub-folders.
      height, width: in pixels.
      shares: see `shares`.
      part: its file of the output that the table belongs to.
    """

    name: str
    file_name: str
    height: int
    width: int
    shares: dict[str, float]
    part: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Output:
    """What `--write` means by a name.

    Attributes:
      ending: of the file of every picture; None: there is none.
      contents: of that file.
      tables: files of all pictures -> their text, in pieces.
    """

    ending: str | None = None
    contents: Callable[[LabelFiles, Prediction], bytes] | None = None
    tables: Mapping[str, Callable[[LabelFiles, Sequence[Done]], Iterable[str]]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class LabelFiles:
    """Which files are written, and in which ids and colours.

    Attributes:
      class_names, palette: by class, names and RGB.
      ids: what label files hold for each class; by default 0, 1, 2, …
      write: names among `OUTPUTS`.

    Raises:
      UserError: an unknown output, or an id above 255 where a palette picture is asked for.
    """

    class_names: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    ids: Sequence[int] | None = None
    write: Sequence[str] = ("palette", "overlay")

    def __post_init__(self):
        object.__setattr__(self, "ids", tuple(range(len(self.palette)) if self.ids is None else self.ids))
        for output in self.write:
            if output not in OUTPUTS:
                raise UserError(f"--write: got {output!r}, expected some of {', '.join(OUTPUTS)}.")
        if {"palette", "overlay"} & set(self.write) and max(self.ids) > 255:
            raise UserError(
                f"label ids: got {max(self.ids)}, expected at most 255 in a palette PNG; write class ids instead, "
                "or --write=labels."
            )

    @property
    def needs_probabilities(self) -> bool:
        return bool({"probabilities", "confidence"} & set(self.write))

    @property
    def colors(self) -> np.ndarray:
        """uint8 [256, 3] RGB by id."""
        return color_table(self.palette, self.ids)

    @property
    def class_values(self) -> np.ndarray:
        """The ids that files hold, by class: uint8 or, above 255, uint16 [K]."""
        return np.array(self.ids, np.uint8 if max(self.ids) < 256 else np.uint16)

    def values(self, prediction: Prediction) -> np.ndarray:
        """The label map [height, width] in the ids that files hold."""
        return self.class_values[prediction.labels]

    def paths(self, folder: pathlib.Path, name: str) -> list[pathlib.Path]:
        """The files of one picture, in the order of `write`."""
        return [folder / f"{name}{OUTPUTS[output].ending}" for output in self.write if OUTPUTS[output].ending]

    def contents(self, prediction: Prediction) -> list[bytes]:
        """What the files of one picture hold, in the order of `paths`."""
        return [OUTPUTS[output].contents(self, prediction) for output in self.write if OUTPUTS[output].ending]

    def tables(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The files of all pictures together."""
        return [folder / table for output in self.write for table in OUTPUTS[output].tables]

    def save(self, prediction: Prediction, folder: pathlib.Path, name: str) -> list[pathlib.Path]:
        """Writes all files of one picture, or none.

        Raises:
          UserError: the folder or the disk refuses.
        """
        paths, contents = self.paths(folder, name), self.contents(prediction)
        for parent in {path.parent for path in paths}:
            make_folder(parent)
        with contextlib.ExitStack() as stack:
            partials = [stack.enter_context(replacing(path)) for path in paths]
            for partial, content in zip(partials, contents, strict=True):
                partial.write_bytes(content)
        return paths

    def save_tables(self, done: Sequence[Done], folder: pathlib.Path) -> None:
        """Writes the files of all pictures together; videos have no part in those that are made of the pictures' files.

        Raises:
          UserError: the folder or the disk refuses.
        """
        for output in (OUTPUTS[output] for output in self.write):
            parts = [
                dataclasses.replace(one, part=folder / f"{one.name}{output.ending}")
                for one in done
                if not (output.ending and is_video(one.file_name))
            ]
            for table, text in output.tables.items():
                make_folder(folder)
                with replacing(folder / table) as partial, open(partial, "w", encoding="utf-8", newline="") as stream:
                    stream.writelines(text(self, parts))


def shares(labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Share of the picture's pixels of every class, by name, 0..1."""
    counts = np.bincount(labels.ravel(), minlength=len(class_names))
    return {name: float(count) / labels.size for name, count in zip(class_names, counts, strict=True)}


def _encoded(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _labels(files: LabelFiles, prediction: Prediction) -> bytes:
    return _encoded(Image.fromarray(files.values(prediction)), "PNG", pnginfo=_origin(prediction))


def _palette(files: LabelFiles, prediction: Prediction) -> bytes:
    label_map = Image.fromarray(files.values(prediction), "P")
    label_map.putpalette(files.colors.tobytes())
    return _encoded(label_map, "PNG", pnginfo=_origin(prediction))


def _origin(prediction: Prediction) -> PngInfo | None:
    if prediction.checksum is None:
        return None
    facts = PngInfo()
    facts.add_text(_CHECKSUM, prediction.checksum)
    return facts


def checksum_in(label_map: Image.Image) -> str | None:
    """The checksum of the picture whose label map it is; None where it carries none."""
    return label_map.info.get(_CHECKSUM)


def _overlay(files: LabelFiles, prediction: Prediction) -> bytes:
    picture = overlay(prediction.image, files.values(prediction), files.colors)
    return _encoded(Image.fromarray(picture), "JPEG", quality=90)


def _confidence(files: LabelFiles, prediction: Prediction) -> bytes:
    levels = np.rint(255 * prediction.probabilities.max(axis=-1)).astype(np.uint8)
    return _encoded(Image.fromarray(levels), "PNG")


def _probabilities(files: LabelFiles, prediction: Prediction) -> bytes:
    stream = io.BytesIO()
    np.save(stream, prediction.probabilities.astype(np.float16))
    return stream.getvalue()


def _all_coco(files: LabelFiles, done: Sequence[Done]) -> Iterable[str]:
    pictures = [(one.file_name, one.height, one.width) for one in done]
    return annotations.joined_coco(files.class_names, files.ids, pictures, (one.part for one in done))


def _shares_csv(files: LabelFiles, done: Sequence[Done]) -> Iterable[str]:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["picture", "height", "width", *files.class_names])
    for one in done:
        rows.writerow([one.name, one.height, one.width, *(f"{one.shares[name]:.6f}" for name in files.class_names)])
    yield table.getvalue()


def _shares_json(files: LabelFiles, done: Sequence[Done]) -> Iterable[str]:
    yield json.dumps({one.name: one.shares for one in done}) + "\n"


OUTPUTS: dict[str, Output] = {
    "labels": Output("_labels.png", _labels),  # grey, the level is the id
    "palette": Output(".png", _palette),  # the index is the id, in the data set's colours
    "overlay": Output("_overlay.jpg", _overlay),
    "probabilities": Output("_probabilities.npy", _probabilities),  # float16 [height, width, K]
    "confidence": Output("_confidence.png", _confidence),  # grey, 255 times the largest probability
    "coco_rle": Output(
        "_coco.json", lambda files, one: annotations.coco_rle(one.labels, files.class_names, files.ids),
        {"coco.json": _all_coco},
    ),
    "coco_polygons": Output(
        "_coco_polygons.json", lambda files, one: annotations.coco_polygons(one.labels, files.class_names, files.ids),
        {"coco_polygons.json": _all_coco},
    ),
    "labelme": Output(".json", lambda files, one: annotations.labelme(one.labels, files.class_names, one.source)),
    "label_studio": Output(
        "_label_studio.json", lambda files, one: annotations.label_studio(one.labels, files.class_names, one.name),
        {"label_studio.json": lambda files, done: annotations.joined_label_studio(one.part for one in done)},
    ),
    "cvat": Output(
        "_cvat.xml", lambda files, one: annotations.cvat(one.labels, files.class_names, one.name),
        {"cvat.xml": lambda files, done: annotations.joined_cvat(files.class_names, (one.part for one in done))},
    ),
    "shares": Output(tables={"shares.csv": _shares_csv, "shares.json": _shares_json}),
}  # fmt: skip
"""What `--write` knows."""
