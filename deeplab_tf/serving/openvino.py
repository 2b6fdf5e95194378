"""OpenVINO: a folder of model.xml and model.bin, for Intel's and other processors; int8 by NNCF.

Read from the ONNX graph, which says of every convolution what it is; a SavedModel would be translated twice.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import nncf
import numpy as np
import openvino

from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import ABOUT_NAME
from deeplab_tf.serving.onnx import graph_of


def write(predictor: Predictor, path: pathlib.Path, about: str, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes `images` -> `labels`, `probabilities`, as the SavedModel answers, to a folder.

    Args:
      predictor: of a plain network.
      path: the folder, which is made.
      about: JSON, into deeplab_tf.json.
      precision: "float32"; "bfloat16", which is a hint to whoever compiles the model (INFERENCE_PRECISION_HINT), the file is
        the same; "float16", weights alone; "int8".
      calibration: uint8 pictures to take the ranges of int8 from.
    """
    model = openvino.Core().read_model(graph_of(predictor).SerializeToString())
    if precision == "int8":
        model = nncf.quantize(model, nncf.Dataset(calibration, lambda image: image[None]), subset_size=len(calibration))
    path.mkdir()
    try:
        openvino.save_model(model, path / "model.xml", compress_to_fp16=precision == "float16")
    except RuntimeError as error:  # "basic_ios::clear: iostream error" is all that is said of a full disk
        raise OSError(f"OpenVINO: {error}") from error
    (path / ABOUT_NAME).write_text(about, encoding="utf-8")
