"""Label Studio's run lengths of brush masks, both ways.

They are a stream of bits, highest first: 32 bits number of values, 5 bits size of a value less one, four times 4 bits size of
a run less one; then runs until all values are there. A run is 1 bit (1: one value, repeated; 0: as many values), 2 bits which
of the four sizes its length has, its length less one, and the value or values. The values are red, green, blue and opacity of
the pixels, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeplab_tf.datasets.prepare.run_length import to_counts

_SIZES = (3, 4, 8, 16)  # bits of a run's length, as Label Studio's own converter writes them
_BITS = 8  # of a value


def decode(stream: Sequence[int], height: int, width: int) -> np.ndarray:
    """bool [height, width]: where the brush left anything.

    Raises:
      ValueError: the stream is broken, or of another picture's size.
    """
    try:
        values = decode_values(stream)
    except (IndexError, OverflowError, ValueError) as error:
        raise ValueError(f"a brush mask cannot be decoded ({error})") from error
    if values.size != height * width * 4:
        raise ValueError(f"a brush mask of {values.size / 4:g} pixels, expected {width} x {height}")
    return values.reshape(height, width, 4)[..., 3] > 0


def decode_values(stream: Sequence[int]) -> np.ndarray:
    """uint8 [n], values of up to 8 bits; any error where the stream is broken."""
    bits = np.unpackbits(np.asarray(stream, np.uint8))
    text = (bits + ord("0")).tobytes()
    number = lambda start, size: int(text[start : start + size], 2)  # noqa: E731
    count, word = number(0, 32), number(32, 5) + 1
    sizes = [number(37 + 4 * place, 4) + 1 for place in range(4)]
    if word > 8 or count > 8 * 2**16 * len(bits):
        raise ValueError(f"a brush mask of {count} values of {word} bits in {len(bits) // 8} bytes, expected values of 8 bits")
    values, done, place = np.zeros(count, np.uint8), 0, 53
    while done < count:
        repeated, size = text[place] == ord("1"), sizes[number(place + 1, 2)]
        length = number(place + 3, size) + 1
        place += 3 + size
        words = bits[place : place + (1 if repeated else length) * word].reshape(-1, word)
        values[done : done + length] = words @ (1 << np.arange(word)[::-1])
        done, place = done + length, place + words.size
    return values


def encode(mask: np.ndarray) -> list[int]:
    """The stream of a bool mask [height, width], white and opaque where it is True; bytes as whole numbers."""
    parts, value = [f"{mask.size * 4:032b}{_BITS - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)], 0
    for pixels in to_counts(mask.T):
        left = 4 * pixels
        while left:
            length = min(left, 1 << _SIZES[-1])
            which = next(which for which, size in enumerate(_SIZES) if length <= 1 << size)
            parts.append(f"1{which:02b}{length - 1:0{_SIZES[which]}b}{value:08b}")
            left -= length
        value = 255 - value
    bits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return np.packbits(bits).tolist()
