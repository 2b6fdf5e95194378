"""PyTorch's file formats without PyTorch, and without running what a pickle asks for.

A pickle may name any callable. This unpickler knows an ordered dict and the tensors' own constructors, and
refuses every other name, so the worst a file can do is to be refused.
"""

import collections
import io
import pathlib
import pickle
import zipfile
import zlib
from typing import Any

import numpy as np

from deeplab_tf.errors import UserError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def read_torch_file(path: pathlib.Path) -> Any:
    """The object in a `.pth` file (zip or older format) with tensors as NumPy arrays.

    Raises:
        UserError: the file is damaged or its pickle asks for something else than tensors in plain containers.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with open(path, "rb") as file:
            return read_legacy(file)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
        OSError,
    ) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path}: expected a PyTorch state dict of tensors (.pth), got a file that cannot be read so"
            f" ({' '.join(str(error).split())}); save model.state_dict() or fetch the file again"
        ) from error


def _read_zip(path: pathlib.Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError("the archive has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("the file is big-endian")

        def storage(kind: str, key: str, count: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), kind, count)

        return _Unpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def read_legacy(file) -> Any:
    """Before PyTorch 1.6: magic, version, machine, the object, the storages' keys, then each storage's values."""
    nothing = _no_storage
    if _Unpickler(file, nothing).load() != _LEGACY_MAGIC:
        raise ValueError("no PyTorch file")
    _Unpickler(file, nothing).load()
    if not _Unpickler(file, nothing).load().get("little_endian", True):
        raise ValueError("the file is big-endian")
    storages: dict[str, np.ndarray] = {}

    def storage(kind: str, key: str, count: int) -> np.ndarray:
        return storages.setdefault(key, np.zeros(count, kind))

    result = _Unpickler(file, storage).load()
    for key in _Unpickler(file, nothing).load():
        values = storages[key]
        count = int.from_bytes(file.read(8), "little")
        if count != values.size:
            raise ValueError(f"storage {key} has {count} values, expected {values.size}")
        data = file.read(values.nbytes)
        if len(data) != values.nbytes:
            raise EOFError("truncated")
        values[:] = np.frombuffer(data, values.dtype)
    return result


def _no_storage(kind: str, key: str, count: int) -> np.ndarray:
    raise ValueError("a tensor where none belongs")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storage):
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _TYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: rebuild_tensor(*arguments)  # a fresh one: a pickle may set attributes
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}, which is refused")

    def persistent_load(self, identity: tuple) -> np.ndarray:
        _, kind, key, _, count = identity[:5]
        if kind not in _TYPES:
            raise pickle.UnpicklingError(f"values of the type {kind}")
        return self._storage(_TYPES[kind], str(key), int(count))


def rebuild_tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_) -> np.ndarray:
    """A strided view of a storage; its extent is checked before NumPy is told to trust it."""
    if not isinstance(storage, np.ndarray) or len(size) != len(stride) or min((offset, *size, *stride), default=0) < 0:
        raise ValueError("a tensor with impossible strides")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if all(size) and last >= storage.size:
        raise ValueError("a tensor beyond the end of its storage")
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)
