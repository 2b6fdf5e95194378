"""A disk that is full, as far as this process can tell."""

import contextlib
import resource


@contextlib.contextmanager
def full_disk(room: int = 1000):
    """Writes past `room` bytes of any file fail inside, with the OSError "File too large"."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
