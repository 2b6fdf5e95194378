"""What an extra of this package brings, imported on demand, or the sentence that says how to get it. Standard library only."""

from __future__ import annotations

import importlib
import importlib.util

from deeplab_tf.errors import UserError


def needed(module: str, extra: str, what: str):
    """Imports a module that an extra of this package brings.

    Args:
      module: its name, with dots where a part of a package is meant.
      extra: of this package.
      what: the thing that needs it, as words in a sentence.

    Raises:
      UserError: it is not installed, or lacks what it imports itself.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name in (module, _package(module))
        raise _missing(module, extra, what, "is not installed" if missing else f"cannot be imported ({error})") from error


def check_installed(module: str, extra: str, what: str) -> None:
    """As `needed`, without the time of an import.

    Raises:
      UserError: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(module, extra, what, "is not installed")


def _missing(module: str, extra: str, what: str, how: str) -> UserError:
    return UserError(f'{_package(module)} {how}, which {what} needs; run `pip install "deeplab_tf[{extra}]"`.')


def _package(module: str) -> str:
    return module.partition(".")[0]
