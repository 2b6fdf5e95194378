"""`.npy` files that hold pickled Python objects, read without running what the pickle asks for.

A pickle may name any callable. This unpickler knows what dicts, lists, numbers and arrays of NumPy are made with, and the
tensors of PyTorch, which IRN leaves in its files; it refuses every other name.
"""

import collections
import io
import os
import pickle
from typing import Any, BinaryIO

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights.torch_pickle import read_legacy, rebuild_tensor

# NumPy 2 moved its inner modules; either may have written the file.
_NUMPY = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0] for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): np.float32(0).__reduce__()[0] for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0] for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
}


def read_npy(path: str | os.PathLike) -> Any:
    """The array of a `.npy` file, mapped and not read; or the Python object that it holds pickled.

    Raises:
        UserError: the file is missing or damaged, or its pickle holds anything but numbers, arrays and containers.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            shape, _, dtype = _read_header(file, version)
            if not dtype.hasobject:
                return np.load(path, mmap_mode="r")
            found = _Unpickler(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise UserError(f"{path}: is not there, expected an .npy file; correct the path.") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: {error}; save plain dicts and arrays with numpy.save.") from error
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        MemoryError,
        OverflowError,
        RecursionError,
        SyntaxError,
    ) as error:
        raise UserError(
            f"{path}: is damaged or no .npy file ({' '.join(str(error).split())}); write it anew with numpy.save."
        ) from error
    if isinstance(found, np.ndarray) and found.dtype.hasobject and found.size == 1:
        return found.item()
    return found


def _read_header(file: BinaryIO, version: tuple[int, int]):
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"version {version} of the format")
    return read[version](file)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return _NUMPY[module, name]
        if (module, name) == ("_codecs", "encode"):  # how older protocols write bytes
            return lambda text, coding: text.encode("latin1")
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: rebuild_tensor(*arguments)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return lambda data: read_legacy(io.BytesIO(data))
        raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, expected numbers, arrays and containers")
