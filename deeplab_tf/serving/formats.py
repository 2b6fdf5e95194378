"""The formats that a network is exported to, one literal row each. Standard library only: the doors ask before TensorFlow."""

from __future__ import annotations

import dataclasses
import pathlib

from deeplab_tf.errors import UserError
from deeplab_tf.extras import check_installed


@dataclasses.dataclass(frozen=True)
class Format:
    """A format; `serving.<name>` writes it, `inference.runtimes` runs it.

    Attributes:
      extra: of this package, which brings what the format needs; "" for none.
      modules: what must be importable to write and to run it.
      marker: a file of this name makes a folder one of this format; or, with a leading dot, the ending of its file.
      precisions: what it can compute in, its default first.
    """

    extra: str
    modules: tuple[str, ...]
    marker: str
    precisions: tuple[str, ...]

    @property
    def suffix(self) -> str:
        """The ending of its file; "" where it is a folder."""
        return self.marker if self.marker.startswith(".") else ""


FORMATS = {
    "saved_model": Format("", (), "saved_model.pb", ("float32", "bfloat16")),
    "onnx": Format("onnx", ("onnx", "onnxruntime"), ".onnx", ("float32", "int8")),
    "litert": Format("litert", ("ai_edge_litert",), ".tflite", ("float32", "float16", "dynamic", "int8")),
    "openvino": Format("openvino", ("onnx", "openvino", "nncf"), "model.xml", ("float32", "bfloat16", "float16", "int8")),
}
PRECISIONS = ("float32", "bfloat16", "float16", "dynamic", "int8")
"""float16: weights alone, dynamic: 8-bit weights, activations by the picture; int8: both, calibrated with pictures."""


def check_format(name: str, precision: str | None, calibrated: bool, path: pathlib.Path) -> Format:
    """The row of a format, once it is known that it can be written as asked.

    Args:
      name: of the format.
      precision: one of `PRECISIONS`, None for the default.
      calibrated: there are pictures to calibrate with.
      path: where it is to go.

    Raises:
      UserError: an unknown format, a precision it has not, int8 without pictures or pictures without int8, a file of another
        ending, an extra that is not installed.
    """
    if name not in FORMATS:
        raise UserError(f"--format={name}: no such format, expected one of {', '.join(FORMATS)}.")
    row = FORMATS[name]
    if precision is not None and precision not in row.precisions:
        raise UserError(f"--precision={precision}: the format {name} has none, expected one of {', '.join(row.precisions)}.")
    if (precision == "int8") != calibrated:
        got, way_out = (
            ("no pictures", "give --calibration=PICTURES")
            if precision == "int8"
            else ("pictures for another precision", "leave --calibration out or give --precision=int8")
        )
        raise UserError(
            f"--calibration: got {got}, expected some tens of real ones for int8, from which the ranges of its "
            f"activations are taken; {way_out}."
        )
    if row.suffix and path.suffix != row.suffix:
        raise UserError(f"--out={path}: the format {name} is a file, expected a name that ends in {row.suffix}.")
    for module in row.modules:
        check_installed(module, row.extra, f"the format {name}")
    return row
