"""Tensors as PyTorch pickles them (its format before 1.6, inside a pickle), written without PyTorch."""

import collections
import io
import pickle
import sys
import types

import numpy as np

_STORAGES = {"f4": "FloatStorage", "i8": "LongStorage"}


def install(monkeypatch):
    """Modules of PyTorch's names, so that pickle writes those names."""
    root, utils, storage = (types.ModuleType(name) for name in ("torch", "torch._utils", "torch.storage"))
    for module, names in ((root, _STORAGES.values()), (utils, ["_rebuild_tensor_v2"]), (storage, ["_load_from_bytes"])):
        for name in names:
            made = type(name, (), {"__module__": module.__name__, "__qualname__": name})
            setattr(module, name, made)
        monkeypatch.setitem(sys.modules, module.__name__, module)


class Tensor:
    """Pickles as the tensor of `array` does."""

    def __init__(self, array: np.ndarray):
        self.array = np.ascontiguousarray(array)

    def __reduce__(self):
        utils = sys.modules["torch._utils"]
        strides = tuple(step // self.array.itemsize for step in self.array.strides)
        return utils._rebuild_tensor_v2, (
            _Storage(self.array.ravel()),
            0,
            self.array.shape,
            strides,
            False,
            collections.OrderedDict(),
        )


class _Storage:
    def __init__(self, values: np.ndarray):
        self.values = values

    def __reduce__(self):
        file = io.BytesIO()
        for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(part, file, protocol=2)
        _ByIdentity(file, protocol=2).dump(self)
        pickle.dump(["0"], file, protocol=2)
        file.write(len(self.values).to_bytes(8, "little") + self.values.tobytes())
        return sys.modules["torch.storage"]._load_from_bytes, (file.getvalue(),)


class _ByIdentity(pickle.Pickler):
    def persistent_id(self, found):
        if isinstance(found, _Storage):
            kind = getattr(sys.modules["torch"], _STORAGES[found.values.dtype.str[1:]])
            return "storage", kind, "0", "cpu", len(found.values), None
        return None
