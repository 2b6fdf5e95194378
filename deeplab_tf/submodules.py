"""Modules that are imported when their package is asked for them. Standard library only."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable


def on_demand(package: str, **places: str) -> Callable[[str], object]:
    """A `__getattr__` for the package of that name: its modules, and the names that `places` says the module of."""

    def __getattr__(name: str):
        if name in places:
            return getattr(importlib.import_module(f"{package}.{places[name]}"), name)
        if not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
