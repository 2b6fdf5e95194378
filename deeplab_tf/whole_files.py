"""Files that appear whole or not at all, and what is said where they cannot be written. Standard library only."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
from collections.abc import Iterator

from deeplab_tf.errors import UserError


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """The name of a file beside `path` to write; at the end it takes the place of `path`, after an error it goes.

    The name is new every time, so that processes that write the same file at once do not write into each other's: the
    last one to end wins. Nothing but writing belongs inside: an OSError is taken as the disk's or the folder's refusal.

    Raises:
      UserError: the folder does not exist or is not writable, or the disk is full.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            yield partial
            os.replace(partial, path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: str | os.PathLike, error: OSError) -> UserError:
    """The one sentence for a file or folder that the system refuses to write."""
    return UserError(f"{path}: cannot be written ({error.strerror or error}); free the disk or choose another folder.")


def check_writable(folder: str | os.PathLike, flag: str = "") -> None:
    """Refuses a folder that cannot be made or written, before anything is computed for it; `flag` is who named it.

    Raises:
      UserError: names the part of the path that is at fault.
    """
    existing = pathlib.Path(folder).absolute()
    while not os.path.exists(existing) and existing != existing.parent:  # what may not be looked into counts as not there
        existing = existing.parent
    folder = f"{flag} {folder}".strip()
    if not existing.is_dir():
        raise UserError(f"{folder}: {existing} is not a folder, expected one to write to; choose another path.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: {existing} is not writable, expected a folder to write to; choose another path.")


def make_folder(folder: str | os.PathLike) -> None:
    """Makes a folder to write to, with its parents, where it is not there.

    Raises:
      UserError: it cannot be made or written.
    """
    check_writable(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
