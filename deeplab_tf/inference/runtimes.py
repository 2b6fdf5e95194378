"""Exported networks as functions of pictures, each by the program that runs its format; none needs the package that wrote it.

An artefact is a file or a folder, told by its name or by what lies in it, and carries a JSON about itself.
"""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from collections.abc import Callable

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.extras import needed

ABOUT_FILE = "assets.extra/deeplab_tf.json"
"""In the folder of a SavedModel."""
ABOUT_NAME = "deeplab_tf.json"
"""In the folder of an OpenVINO model, and in the archive at the end of a LiteRT file."""
ABOUT_KEY = "deeplab_tf"
"""Of an ONNX file's metadata."""

Run = Callable[[np.ndarray], np.ndarray]
"""uint8 [batch, height, width, 3] RGB -> float32 [batch, height, width, K]."""


def format_of(path: str | os.PathLike) -> str | None:
    """The artefact's format, a name of `FORMATS` in `serving.formats`; None where it is none."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return "saved_model"
    if (path / "model.xml").is_file():
        return "openvino"
    return {".onnx": "onnx", ".tflite": "litert"}.get(path.suffix) if path.is_file() else None


def open_artefact(path: str | os.PathLike) -> tuple[dict, Run]:
    """Loads an artefact.

    Returns:
      What it says of itself ({} where it says nothing), and a function of a batch of pictures.

    Raises:
      UserError: no artefact, a damaged one, or the program that runs it is not installed.
    """
    kind = format_of(path)
    if kind is None:
        raise UserError(
            f"{path}: is no exported network, expected what `python -m deeplab_tf.export` writes: a folder with "
            "saved_model.pb or model.xml, or a file NAME.onnx or NAME.tflite."
        )
    try:
        about, run = _OPEN[kind](pathlib.Path(path))
        return json.loads(about or "{}"), run
    except UserError:
        raise
    except Exception as error:  # every program has exceptions of its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be loaded as {kind} ({reason}); export it again.") from error


class ServedModel:
    """The `Run` of a SavedModel.

    Attributes:
      signatures: all that it answers, by name.
    """

    def __init__(self, path: pathlib.Path):
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(path))  # signatures alone do not keep its variables
        self.signatures = self._loaded.signatures

    def __call__(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return self.signatures["serving_default"](images=tf.constant(images))["probabilities"].numpy()


def _saved_model(path: pathlib.Path) -> tuple[str, Run]:
    about = path / ABOUT_FILE
    return about.read_text(encoding="utf-8") if about.is_file() else "", ServedModel(path)


def _onnx(path: pathlib.Path) -> tuple[str, Run]:
    onnxruntime = needed("onnxruntime", "onnx", "the format onnx")
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map.get(ABOUT_KEY, "")
    return about, lambda images: session.run(["probabilities"], {"images": images})[0]


def _litert(path: pathlib.Path) -> tuple[str, Run]:
    interpreter = needed("ai_edge_litert.interpreter", "litert", "the format litert")
    with zipfile.ZipFile(path) as archive:
        about = archive.read(ABOUT_NAME).decode()
    run = interpreter.Interpreter(os.fspath(path), num_threads=os.cpu_count()).get_signature_runner("serving_default")
    return about, lambda images: run(images=images)["probabilities"]


def _openvino(path: pathlib.Path) -> tuple[str, Run]:
    openvino = needed("openvino", "openvino", "the format openvino")
    text = (path / ABOUT_NAME).read_text(encoding="utf-8")
    # Where the processor has bfloat16, OpenVINO takes it unasked.
    hint = {"bfloat16": "bf16"}.get(json.loads(text)["precision"], "f32")
    compiled = openvino.compile_model(path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": hint})
    return text, lambda images: compiled(images)["probabilities"]


_OPEN = {"saved_model": _saved_model, "onnx": _onnx, "litert": _litert, "openvino": _openvino}
