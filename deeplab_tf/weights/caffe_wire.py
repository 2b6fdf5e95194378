"""A `.caffemodel` as layers and blobs, without Caffe: the messages of caffe.proto that carry weights.

The file is walked by seeking over its length-delimited fields; only one blob is in memory at a time. Field
numbers are those of BVLC's caffe.proto, which the published nets were written with.
"""

import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from deeplab_tf.errors import UserError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NET = {"layers": 2, "layer": 100}
_V1_LAYER = {"name": 4, "type": 5, "blobs": 6}
_V2_LAYER = {"name": 1, "type": 2, "blobs": 7, "batch_norm": 139}
_BATCH_NORM_EPSILON = 3
_BLOB = {"data": 5, "shape": 7, "double_data": 8}
_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}
_NAME_LIMIT = 4096


@dataclass(frozen=True)
class Field:
    """One field of a message: a number for varint and fixed types, for the others a byte range of the file."""

    number: int
    wire: int
    value: int
    start: int
    end: int


@dataclass(frozen=True)
class CaffeLayer:
    """Name, type and blobs of a layer; the blobs are read when asked for.

    Attributes:
        name: as in the file.
        type: the layer's type in today's names, such as "Convolution"; of the old format only those with
            weights.
        epsilon: of a BatchNorm layer, Caffe's default 1e-5 unless the file says otherwise.
        blob_count: how many blobs the layer has.
        read_blobs: gives them as float32 or float64 arrays.
    """

    name: str
    type: str
    epsilon: float
    blob_count: int
    read_blobs: Callable[[], list[np.ndarray]]


def read_layers(path: pathlib.Path, file: BinaryIO) -> Iterator[CaffeLayer]:
    """The layers of an open `.caffemodel`, in order, both of the V1 and of the V2 list.

    Raises:
        UserError: the file is cut off or is no Caffe net.
    """
    size = file.seek(0, 2)
    message = _Message(path, file)
    for field in message.fields(0, size):
        if field.wire == _BYTES and field.number == _NET["layer"]:
            yield _layer(message, field, _V2_LAYER)
        elif field.wire == _BYTES and field.number == _NET["layers"]:
            yield _layer(message, field, _V1_LAYER)


def _layer(message: "_Message", layer: Field, numbers: dict[str, int]) -> CaffeLayer:
    name, kind, epsilon, blobs = "", "", 1e-5, []
    for field in message.fields(layer.start, layer.end):
        if field.number == numbers["name"] and field.wire == _BYTES:
            name = message.text(field)
        elif field.number == numbers["type"]:
            kind = message.text(field) if field.wire == _BYTES else _V1_TYPES.get(field.value, f"V1 {field.value}")
        elif field.number == numbers["blobs"] and field.wire == _BYTES:
            blobs.append(field)
        elif field.number == numbers.get("batch_norm") and field.wire == _BYTES:
            epsilon = _epsilon(message, field, epsilon)
    return CaffeLayer(name, kind, epsilon, len(blobs), lambda: [_blob(message, name, blob) for blob in blobs])


def _epsilon(message: "_Message", parameter: Field, default: float) -> float:
    for field in message.fields(parameter.start, parameter.end):
        if field.number == _BATCH_NORM_EPSILON and field.wire == _FIXED32:
            return float(np.array(field.value, "<u4").view("<f4"))
    return default


def _blob(message: "_Message", layer: str, blob: Field) -> np.ndarray:
    """Values of a BlobProto in its shape: the BlobShape, or the older num, channels, height, width."""
    parts, shape, legacy = [], None, {}
    at = blob.start
    while at < blob.end:
        field = message.field(at, blob.end)
        at = field.end
        if field.number in (_BLOB["data"], _BLOB["double_data"]):
            values, at = message.numbers(field, blob.end)
            parts.append(values)
        elif field.number == _BLOB["shape"] and field.wire == _BYTES:
            shape = tuple(dim for part in message.fields(field.start, field.end) for dim in message.varints(part))
        elif field.number in (1, 2, 3, 4) and field.wire == _VARINT:
            legacy[field.number] = field.value
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if shape is None:
        shape = tuple(legacy.get(number, 1) for number in (1, 2, 3, 4)) if legacy else values.shape
    if np.prod(shape, dtype=object) != values.size:
        raise UserError(
            f"{message.path}: layer {layer} has a blob of {values.size} values, expected {shape};"
            " the file is damaged, fetch it again"
        )
    return values.reshape(shape)


class _Message:
    """Reads protobuf's wire format between two offsets of a file."""

    def __init__(self, path: pathlib.Path, file: BinaryIO):
        self.path, self._file = path, file

    def fields(self, start: int, end: int) -> Iterator[Field]:
        while start < end:
            field = self.field(start, end)
            yield field
            start = field.end

    def field(self, at: int, end: int) -> Field:
        """The field at an offset; `end` bounds the message it is in."""
        tag, at = self._varint(at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise self._damaged(at, "no field of a Caffe net")
        if wire == _VARINT:
            value, stop = self._varint(at, end)
            return Field(number, wire, value, at, stop)
        if wire == _BYTES:
            length, at = self._varint(at, end)
            if at + length > end:
                raise self._damaged(at, f"a field of {length} bytes where {end - at} are left: truncated")
            return Field(number, wire, 0, at, at + length)
        width = 4 if wire == _FIXED32 else 8
        return Field(number, wire, int.from_bytes(self._read(at, width, end), "little"), at, at + width)

    def text(self, field: Field) -> str:
        if field.end - field.start > _NAME_LIMIT:
            raise self._damaged(field.start, f"a layer name or type of {field.end - field.start} bytes")
        return self._read(field.start, field.end - field.start, field.end).decode("utf-8", "replace")

    def varints(self, field: Field) -> list[int]:
        """A repeated integer, packed or one by one."""
        if field.wire == _VARINT:
            return [field.value]
        values, at = [], field.start
        while at < field.end:
            value, at = self._varint(at, field.end)
            values.append(value)
        return values

    def numbers(self, field: Field, end: int) -> tuple[np.ndarray, int]:
        """Floats or doubles from `field` on, and the offset after them; single values are read as one run."""
        kind = np.dtype("<f4" if field.number == _BLOB["data"] else "<f8")
        if field.wire == _BYTES:
            data = self._read(field.start, field.end - field.start, end)
            if len(data) % kind.itemsize:
                raise self._damaged(field.start, f"{len(data)} bytes of values of {kind.itemsize} bytes each")
            return np.frombuffer(data, kind), field.end
        if field.end - field.start != kind.itemsize:
            raise self._damaged(field.start, "values of another type than float and double")
        step = 1 + kind.itemsize  # both field numbers have a one-byte tag
        start = field.start - 1
        records = np.frombuffer(self._read(start, (end - start) // step * step, end), np.uint8).reshape(-1, step)
        other = np.flatnonzero(records[:, 0] != records[0, 0])
        count = int(other[0]) if other.size else len(records)
        return np.ascontiguousarray(records[:count, 1:]).view(kind)[:, 0], start + count * step

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._read(at, 1, end)[0]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
        raise self._damaged(at, "no field of a Caffe net")

    def _read(self, at: int, length: int, end: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(length) if at + length <= end else b""
        if len(data) != length:
            raise self._damaged(at, f"{length} bytes expected where {max(end - at, 0)} are left: truncated")
        return data

    def _damaged(self, at: int, what: str) -> UserError:
        return UserError(f"{self.path}: expected a whole .caffemodel, found at byte {at} {what}; fetch the file again")
