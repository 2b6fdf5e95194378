"""A SavedModel of this package as a network that segments, with the label table that it carries."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from deeplab_tf.errors import UserError

ABOUT_FILE = "assets.extra/deeplab_tf.json"


@dataclasses.dataclass(frozen=True)
class SavedNetwork:
    """What `export_saved_model` wrote, loaded.

    Attributes:
      path: its folder.
      class_names, palette: names and RGB by class.
      about: all that it says of itself.
      module: the loaded SavedModel.
    """

    path: pathlib.Path
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    about: dict
    module: object = dataclasses.field(repr=False)

    def segment(self, image: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] RGB -> float32 [height, width, K], with the scales and flip that were exported."""
        answer = self.module.signatures["serving_default"](images=tf.constant(image[None]))
        return answer["probabilities"].numpy()[0]


def load_saved_model(path: str | os.PathLike) -> SavedNetwork:
    """Loads a SavedModel that this package exported.

    Raises:
      UserError: no SavedModel, a damaged one, or one without this package's label table.
    """
    path = pathlib.Path(path)
    if not (path / "saved_model.pb").is_file():
        raise UserError(f"--saved_model={path}: holds no saved_model.pb, expected what `python -m deeplab_tf.export` writes.")
    try:
        about = json.loads((path / ABOUT_FILE).read_text(encoding="utf-8"))
        names, palette = about["class_names"], about["palette"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path / ABOUT_FILE}: cannot be read ({error}), expected the label table of an exported network; "
                        "export it again.") from error
    if not names or not palette:
        raise UserError(f"{path / ABOUT_FILE}: names no classes, expected a network exported with its label table; export it "
                        "with class_names and palette.")
    try:
        module = tf.saved_model.load(str(path))
    except (tf.errors.OpError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"--saved_model={path}: cannot be loaded ({reason}); export it again.") from error
    return SavedNetwork(path, tuple(names), tuple(map(tuple, palette)), about, module)
