"""The files that are written of one picture: its label map in several forms, each whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.errors import UserError
from deeplab_tf.pages.pictures import overlay
from deeplab_tf.whole_files import make_folder, replacing


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is known of one picture.

    Attributes:
      image: uint8 [height, width, 3] RGB.
      labels: integer [height, width] class ids.
      probabilities: float32 [height, width, K]; None where no file needs them.
    """

    image: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray | None = None


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
            raise UserError(f"label ids: got {max(self.ids)}, expected at most 255 in a palette PNG; write class ids instead, "
                            "or --write=labels.")

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
        return [folder / f"{name}{OUTPUTS[output][0]}" for output in self.write if OUTPUTS[output]]

    def save(self, prediction: Prediction, folder: pathlib.Path, name: str) -> list[pathlib.Path]:
        """Writes all files of one picture, or none.

        Raises:
          UserError: the folder or the disk refuses.
        """
        paths = self.paths(folder, name)
        contents = [OUTPUTS[output][1](self, prediction) for output in self.write if OUTPUTS[output]]
        for parent in {path.parent for path in paths}:
            make_folder(parent)
        with contextlib.ExitStack() as stack:
            partials = [stack.enter_context(replacing(path)) for path in paths]
            for partial, content in zip(partials, contents, strict=True):
                partial.write_bytes(content)
        return paths


def shares(labels: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Share of the picture's pixels of every class, by name, 0..1."""
    counts = np.bincount(labels.ravel(), minlength=len(class_names))
    return {name: float(count) / labels.size for name, count in zip(class_names, counts, strict=True)}


def _encoded(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _labels(files: LabelFiles, prediction: Prediction) -> bytes:
    return _encoded(Image.fromarray(files.values(prediction)), "PNG")


def _palette(files: LabelFiles, prediction: Prediction) -> bytes:
    label_map = Image.fromarray(files.values(prediction), "P")
    label_map.putpalette(files.colors.tobytes())
    return _encoded(label_map, "PNG")


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


def _coco_rle(files: LabelFiles, prediction: Prediction) -> bytes:
    height, width = prediction.labels.shape
    segments = []
    for train_id in np.unique(prediction.labels):
        mask = prediction.labels == train_id
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        segments.append({
            "category_id": files.ids[train_id], "category": files.class_names[train_id], "iscrowd": 1, "area": int(mask.sum()),
            "bbox": [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1],
            "segmentation": {"size": [height, width], "counts": run_lengths(mask)},
        })  # fmt: skip
    return (json.dumps({"height": height, "width": width, "annotations": segments}) + "\n").encode()


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's run lengths of a bool mask [height, width]: column by column, beginning with a run of zeros."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return [0] * bool(flat[0]) + lengths.tolist()


OUTPUTS: dict[str, tuple[str, Callable[[LabelFiles, Prediction], bytes]] | None] = {
    "labels": ("_labels.png", _labels),  # grey, the level is the id
    "palette": (".png", _palette),  # the index is the id, in the data set's colours
    "overlay": ("_overlay.jpg", _overlay),
    "probabilities": ("_probabilities.npy", _probabilities),  # float16 [height, width, K]
    "confidence": ("_confidence.png", _confidence),  # grey, 255 times the largest probability
    "coco_rle": ("_coco.json", _coco_rle),
    "shares": None,  # one table of all pictures, shares.csv and shares.json
}
"""What `--write` knows -> (how its file ends, its contents)."""
