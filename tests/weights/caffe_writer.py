"""Writes `.caffemodel` files for tests, byte by byte: what a Caffe of either generation would have written."""

from dataclasses import dataclass

import numpy as np

_V1_TYPES = {"Convolution": 4, "InnerProduct": 14, "ReLU": 18, "Pooling": 17}


@dataclass(frozen=True)
class Layer:
    """A layer with its blobs in Caffe's order and layout."""

    name: str
    type: str
    blobs: tuple[np.ndarray, ...] = ()
    epsilon: float | None = None


def write_caffemodel(path, layers, *, version=2, packed=True, legacy_shape=False, double=False):
    """Writes a NetParameter: `version` 1 is the `layers` list, 2 is `layer`."""
    with open(path, "wb") as file:
        file.write(_bytes(1, b"a net"))
        for layer in layers:
            blobs = [_blob(blob, packed, legacy_shape, double) for blob in layer.blobs]
            if version == 1:
                content = _bytes(2, b"below") + _bytes(4, layer.name.encode()) + _varint_field(5, _V1_TYPES[layer.type])
                content += b"".join(_bytes(6, blob) for blob in blobs)
                file.write(_bytes(2, content))
            else:
                content = _bytes(1, layer.name.encode()) + _bytes(2, layer.type.encode()) + _bytes(3, b"below")
                content += b"".join(_bytes(7, blob) for blob in blobs)
                if layer.epsilon is not None:
                    content += _bytes(139, _tag(3, 5) + np.float32(layer.epsilon).tobytes())
                file.write(_bytes(100, content))


def _blob(values, packed, legacy_shape, double):
    number, kind = (8, "<f8") if double else (5, "<f4")
    values = np.ascontiguousarray(values, kind)
    if packed:
        data = _bytes(number, values.tobytes())
    else:
        records = np.empty(values.size, np.dtype([("tag", "u1"), ("value", kind)]))
        records["tag"], records["value"] = (number << 3) | (1 if double else 5), values.reshape(-1)
        data = records.tobytes()
    if legacy_shape:
        shape = (1,) * (4 - values.ndim) + values.shape
        return b"".join(_varint_field(i, size) for i, size in enumerate(shape, start=1)) + data
    return _bytes(7, _bytes(1, b"".join(_varint(size) for size in values.shape))) + data


def _bytes(number, content):
    return _tag(number, 2) + _varint(len(content)) + content


def _varint_field(number, value):
    return _tag(number, 0) + _varint(value)


def _tag(number, wire):
    return _varint(number << 3 | wire)


def _varint(value):
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes(result + bytes([value]))
