"""ONNX in 8 bits: onnxruntime's static quantisation of the convolutions, calibrated with real pictures."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
import onnx
from onnxruntime import quantization

_KINDS = ["Conv", "Relu", "MaxPool", "Sum"]
"""What is computed in 8 bits; the picture's and the scores' resizing, softmax and argmax stay float32."""


def quantized(model: onnx.ModelProto, pictures: Sequence[np.ndarray]) -> onnx.ModelProto:
    """The same graph with 8-bit weights, by channel, and 8-bit activations.

    Args:
      model: float32.
      pictures: uint8 [height, width, 3], of any sizes.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder) / "float.onnx", pathlib.Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantization.quantize_static(
            source, target, _Pictures(pictures), op_types_to_quantize=_KINDS, per_channel=True,
            quant_format=quantization.QuantFormat.QDQ, activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(target)


class _Pictures(quantization.CalibrationDataReader):
    """One after the other, as onnxruntime asks for them."""

    def __init__(self, pictures: Sequence[np.ndarray]):
        self._rest = iter(pictures)

    def get_next(self):
        image = next(self._rest, None)
        return None if image is None else {"images": image[None]}
