"""One writer at a time in a folder. Standard library only."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
from collections.abc import Iterator

from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import make_folder, unwritable

try:
    import fcntl
except ImportError:  # no POSIX system: nothing is held there
    fcntl = None


@contextlib.contextmanager
def holding(folder: str | os.PathLike, work: str) -> Iterator[None]:
    """Holds `folder` for this process as long as the context lasts; made where it is not there, it goes if it stays empty.

    The system lets go of what a process held when it ends, however it ends: a file `.lock` that a killed process left
    behind does not count. On file systems without locks nothing is held.

    Args:
      folder: to be written to.
      work: what is done there, for the sentence that others get ("train").

    Raises:
      UserError: another process holds the folder, or it cannot be written.
    """
    made = not os.path.exists(folder)
    make_folder(folder)
    path = pathlib.Path(folder) / ".lock"
    lock = _acquire(path) if fcntl else None
    if lock is None:
        yield
        return
    try:
        os.truncate(lock, 0)
        os.pwrite(lock, f"{work}, process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            if made:
                path.parent.rmdir()  # only where nothing was written
        os.close(lock)


def _acquire(path: pathlib.Path) -> int | None:
    """An open, locked file; None where the file system knows no locks."""
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = os.pread(lock, 200, 0).decode(errors="replace") or "by another process"
            os.close(lock)
            raise UserError(
                f"{path.parent}: in use ({who}), expected one program at a time that writes there; wait until it "
                "ends or choose another folder."
            ) from error
        except OSError:
            os.close(lock)
            return None
        if _stands_at(path, lock):
            return lock
        os.close(lock)  # the one who held it has taken the file away in between: on to the new one


def _stands_at(path: pathlib.Path, opened: int) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), os.stat(path))
    except FileNotFoundError:
        return False
