"""An exported network of any format as a network that segments, with the label table that it carries."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.inference.runtimes import Run, open_artefact


@dataclasses.dataclass(frozen=True)
class SavedNetwork:
    """What `python -m deeplab_tf.export` wrote, loaded.

    Attributes:
      path: its folder or file.
      class_names, palette: names and RGB by class.
      about: all that it says of itself.
      run: uint8 [batch, height, width, 3] RGB -> float32 [batch, height, width, K].
    """

    path: pathlib.Path
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    about: dict
    run: Run = dataclasses.field(repr=False)

    def segment(self, image: np.ndarray) -> np.ndarray:
        """uint8 [height, width, 3] RGB -> float32 [height, width, K], with the scales and flip that were exported."""
        return self.run(image[None])[0]


def load_saved_model(path: str | os.PathLike) -> SavedNetwork:
    """Loads a network that this package exported: a SavedModel, or an ONNX, LiteRT or OpenVINO one.

    Raises:
      UserError: no exported network, a damaged one, one without this package's label table, or the program that runs its
        format is not installed.
    """
    path = pathlib.Path(path)
    try:
        about, run = open_artefact(path)
    except UserError as error:
        raise UserError(f"--saved_model={error}" if str(error).startswith(str(path)) else f"--saved_model={path}: {error}"
                        ) from error  # fmt: skip
    names, palette = about.get("class_names"), about.get("palette")
    if not names or not palette:
        raise UserError(
            f"--saved_model={path}: names no classes, expected a network exported with its label table; export it "
            "with class_names and palette."
        )
    return SavedNetwork(path, tuple(names), tuple(map(tuple, palette)), about, run)
