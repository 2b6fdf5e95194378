"""The requests that TensorFlow Serving sends to itself before it answers others: assets.extra/tf_serving_warmup_requests.

A TFRecord of PredictionLog messages. They are written by hand, since the package that has them is not needed for anything else;
the numbers are those of tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_PREDICTION_LOG_PREDICT, _PREDICT_LOG_REQUEST = 6, 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_SIGNATURE, _KEY, _VALUE = 3, 1, 2


def write_warmup(folder: pathlib.Path, image: np.ndarray) -> None:
    """Writes a request of every signature into a SavedModel's folder, each for one picture.

    Args:
      folder: of the SavedModel.
      image: uint8 [height, width, 3]; its size says how much memory is taken beforehand.
    """
    png = tf.io.encode_png(image).numpy()
    requests = {
        "serving_default": ("images", image[None]), "labels": ("images", image[None]), "logits": ("images", image[None]),
        "encoded": ("encoded_images", np.array([png], object)),
    }  # fmt: skip
    (folder / WARMUP_FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP_FILE)) as records:
        for signature, (name, value) in requests.items():
            records.write(_prediction_log(signature, name, value))


def _prediction_log(signature: str, name: str, value: np.ndarray) -> bytes:
    tensor = tf.make_tensor_proto(value).SerializeToString()
    model = _field(_MODEL_SIGNATURE, signature.encode())
    inputs = _field(_KEY, name.encode()) + _field(_VALUE, tensor)
    request = _field(_REQUEST_MODEL, model) + _field(_REQUEST_INPUTS, inputs)
    return _field(_PREDICTION_LOG_PREDICT, _field(_PREDICT_LOG_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, as protocol buffers lay it out."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
