"""LiteRT (TensorFlow Lite) for telephones and small machines: one file, pictures of any size by `resize_tensor_input`.

Converted from the plain network. A dilated convolution of tf.nn.convolution is split into three ops, between which its bias
falls, and int8 then rounds the sum without it.
"""

from __future__ import annotations

import pathlib
import tempfile
import zipfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from deeplab_tf.errors import UserError
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import ABOUT_NAME
from deeplab_tf.serving.signatures import save_plain


def write(predictor: Predictor, path: pathlib.Path, about: str, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes the signature "serving_default" of the SavedModel to a file, with `about` in a zip archive at its end.

    Args:
      predictor: of a plain network.
      path: the file.
      about: JSON; `unzip` takes it out.
      precision: "float32", "float16", "dynamic" or "int8"; the answer stays float32.
      calibration: uint8 pictures to take the ranges of int8 from.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_plain(predictor, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: ({"images": image[None]} for image in calibration)
        try:
            path.write_bytes(converter.convert())
        except ConverterError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"format litert: the network cannot be converted ({reason}); export it as saved_model.") from error
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(ABOUT_NAME, about)
