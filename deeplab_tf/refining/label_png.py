"""A PNG of class ids, written a few rows at a time, so that a mask larger than memory can be written."""

import struct
import zlib
from typing import BinaryIO

import numpy as np

_GREY, _PALETTE = 0, 3


class LabelPng:
    """Writes 8-bit grey, or with a palette indices into it.

    Args:
        file: opened for writing bytes.
        size: (height, width).
        palette: RGB bytes, at most 256 colours, or None.
        clear: the palette's transparency: an index, or alpha bytes, one per colour; or None.
    """

    def __init__(self, file: BinaryIO, size: tuple[int, int], palette: bytes | None = None, clear: bytes | int | None = None):
        self._file, self._packer, self._width = file, zlib.compressobj(), size[1]
        file.write(b"\x89PNG\r\n\x1a\n")
        kind = _GREY if palette is None else _PALETTE
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", size[1], size[0], 8, kind, 0, 0, 0))
        if palette is not None:
            self._chunk(b"PLTE", palette)
            if clear is not None:
                self._chunk(b"tRNS", clear if isinstance(clear, bytes) else b"\xff" * clear + b"\0")

    def put(self, rows: slice, columns: slice, ids: np.ndarray) -> None:
        """The next part, uint8 [rows, columns]: from left to right over the same rows, then the rows below."""
        if columns.start == 0:
            self._band = np.zeros((rows.stop - rows.start, 1 + self._width), np.uint8)  # first of each row: no filter
        self._band[:, 1 + columns.start : 1 + columns.stop] = ids
        packed = self._packer.compress(self._band.tobytes()) if columns.stop == self._width else b""
        if packed:
            self._chunk(b"IDAT", packed)

    def finish(self) -> None:
        self._chunk(b"IDAT", self._packer.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
