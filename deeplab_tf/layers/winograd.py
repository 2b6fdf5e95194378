"""3x3 convolution in a quarter of the products: Winograd's minimal filtering F(4x4, 3x3).

A tile of 6x6 pixels gives 4x4 outputs. Both it and the kernel are polynomials of two variables, up to the border, so the
convolution is a product point by point: evaluate tile and kernel at 6x6 points, multiply, interpolate. That is 36
products for each pair of channels where the definition has 144 (Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", CVPR 2016, section 4.1). An atrous kernel works on the deinterleaved maps: a tile is every rate-th pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_OUT, _IN = 4, 6  # side of a tile's outputs and inputs
# Where the polynomials are evaluated, and at infinity. With 0, ±1, ±2, as usually written down, the rounding errors are
# twice as large; these are 5 times those of the definition, 1.1e-6 of the outputs' deviation with 256 channels.
_POINTS = (0.0, 0.6875, -0.6875, 1.5, -1.5)
_CHANNELS = 128  # with fewer, evaluating and interpolating take the time that the products save
_TILES = 512  # at once: those of a large picture take several times its map's memory


def applies(kernel_shape: Sequence[int], dtype: str | tf.DType) -> bool:
    """Whether a kernel is one that gains: float32 3x3 of many channels, where there are only processors; the kernels of other
    devices see to this by themselves."""
    large = tuple(kernel_shape[:-2]) == (3, 3) and min(kernel_shape[-2:]) >= _CHANNELS
    devices = {device.device_type for device in tf.config.list_physical_devices()}
    return large and tf.as_dtype(dtype) == tf.float32 and devices == {"CPU"}


def products(height, width, rate: int):
    """Products of every pair of channels for a map of this size, whose tiles end at multiples of four rates; the definition
    has 9 a pixel."""
    return _IN**2 * rate * _along(height, rate) * rate * _along(width, rate)


def pays(height, width, rate: int):
    """Whether that is few enough, at most three fifths of the definition's; bool [] of tensors.

    With rates up to 4 they never are many more, so that the size need not be asked for.
    """
    return rate <= _OUT or 5 * products(height, width, rate) <= 3 * 9 * height * width


def conv3x3(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    """`atrous_conv(x, kernel, rate)`: float32 [batch, height, width, in], [3, 3, in, out] -> [batch, height, width, out]."""
    return _traced(_convolve, rate, _maps(x), tuple(kernel.shape))(x, kernel)


def kernel_gradient(x: tf.Tensor, of_y: tf.Tensor, rate: int) -> tf.Tensor:
    """The gradient of `conv3x3` by its kernel: float32 [batch, height, width, in] and [..., out] -> [3, 3, in, out]."""
    return _traced(_by_kernel, rate, _maps(x), _maps(of_y))(x, of_y)


def _maps(x: tf.Tensor) -> tuple:
    return (None, None, None, x.shape[-1])


@functools.cache
def _traced(function: Callable, rate: int, *shapes: tuple) -> tf.types.experimental.PolymorphicFunction:
    """A function of its own for all layers of a shape, or a network of 30 of them would take 20 s to trace and to start."""
    signature = [tf.TensorSpec(shape) for shape in shapes]
    alone = {"_noinline": True}
    return tf.function(functools.partial(function, rate=rate), signature, autograph=False, experimental_attributes=alone)


def _convolve(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    inputs, outputs = kernel.shape[2:]
    tiles = _Tiles(tf.shape(x), rate)
    pixels = tiles.padded(x, before=rate)
    evaluate, evaluate_kernel, interpolate = _matrices()
    spectrum = _transformed(evaluate_kernel, tf.reshape(kernel, [9, inputs, outputs]))

    def convolve(corners):
        return _transformed(interpolate, _products(_transformed(evaluate, tiles.read(pixels, corners, _IN)), spectrum))

    count = tf.size(tiles.corners)
    parts = tf.maximum(1, -(-count // _TILES))
    size = -(-count // parts)
    corners = tf.reshape(tf.pad(tiles.corners, [[0, parts * size - count]]), [parts, size])
    y = tf.map_fn(convolve, corners, parallel_iterations=1, fn_output_signature=tf.TensorSpec([_OUT**2, None, outputs]))
    tile, output = tiles.places()
    return tf.gather(tf.reshape(y, [-1, outputs]), ((tile // size) * _OUT**2 + output) * size + tile % size)


def _by_kernel(x: tf.Tensor, of_y: tf.Tensor, rate: int) -> tf.Tensor:
    inputs, outputs = x.shape[-1], of_y.shape[-1]
    tiles = _Tiles(tf.shape(x), rate)
    pixels, errors = tiles.padded(x, before=rate), tiles.padded(of_y, before=0)
    evaluate, evaluate_kernel, interpolate = _matrices()

    def add(start, total):
        corners = tiles.corners[start : start + _TILES]
        seen = _transformed(evaluate, tiles.read(pixels, corners, _IN))
        wanted = _transformed(interpolate.T, tiles.read(errors, corners, _OUT))
        return start + _TILES, total + _transformed(evaluate_kernel.T, _products(seen, wanted, transpose_a=True))

    zeros = tf.zeros([9, inputs, outputs])
    _, total = tf.while_loop(lambda start, _: start < tf.size(tiles.corners), add, (0, zeros), parallel_iterations=1)
    return tf.reshape(total, [3, 3, inputs, outputs])


def _transformed(matrix: np.ndarray, x: tf.Tensor) -> tf.Tensor:
    """[rows, columns], [columns, n, channels] -> [rows, n, channels]."""
    y = tf.reshape(matrix @ tf.reshape(x, [matrix.shape[1], -1]), [matrix.shape[0], -1, x.shape[-1]])
    return tf.ensure_shape(y, [matrix.shape[0], *x.shape[1:]])


def _products(a: tf.Tensor, b: tf.Tensor, **how) -> tf.Tensor:
    """36 of matrices, not at once, which takes up to 1.6 times as long without oneDNN."""
    return tf.stack([tf.matmul(*pair, **how) for pair in zip(tf.unstack(a, _IN**2), tf.unstack(b, _IN**2), strict=True)])


class _Tiles:
    """The tiles of a map, those of its deinterleaved maps one after the other."""

    def __init__(self, shape: tf.Tensor, rate: int):
        self.rate = rate
        self.batch, self.height, self.width = tf.unstack(shape[:3])
        self.down, self.across = _along(self.height, rate), _along(self.width, rate)
        self.size = rate * (_OUT * self.down + 2), rate * (_OUT * self.across + 2)  # of the map with what tiles need round it
        rows, columns = (tf.range(rate)[:, None] + rate * _OUT * tf.range(count) for count in (self.down, self.across))
        rows = tf.range(self.batch)[:, None] * self.size[0] + tf.reshape(rows, [-1])
        # int32 [tiles]: where in the padded maps each one begins
        self.corners = tf.reshape(rows[:, :, None] * self.size[1] + tf.reshape(columns, [-1]), [-1])

    def padded(self, x: tf.Tensor, before: int) -> tf.Tensor:
        """[pixels, channels] of the maps with `before` zeros above and to the left, and as many as are missing behind."""
        after = self.size[0] - self.height - before, self.size[1] - self.width - before
        return tf.reshape(tf.pad(x, [[0, 0], [before, after[0]], [before, after[1]], [0, 0]]), [-1, x.shape[-1]])

    def read(self, pixels: tf.Tensor, corners: tf.Tensor, side: int) -> tf.Tensor:
        """[side * side, n, channels] of the tiles that begin there."""
        taps = self.rate * (tf.range(side)[:, None] * self.size[1] + tf.range(side))
        return tf.gather(pixels, tf.reshape(taps, [-1, 1]) + corners)

    def places(self) -> tuple[tf.Tensor, tf.Tensor]:
        """int32 [batch, height, width] twice: the tile that a pixel lies in, and which of its outputs it is."""
        (row, i), (column, j) = (self._places(*axis) for axis in ((self.height, self.down), (self.width, self.across)))
        rows = tf.range(self.batch)[:, None] * self.down * self.rate + row
        return rows[:, :, None] * self.across * self.rate + column, i[:, None] * _OUT + j

    def _places(self, size: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = tf.range(size)
        return (position % self.rate) * count + position // (self.rate * _OUT), (position // self.rate) % _OUT


def _along(size, rate: int):
    """Tiles along an axis of one of the deinterleaved maps, of numbers and of tensors."""
    return -(-size // (rate * _OUT))


@functools.cache
def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float32 [36, 36], [36, 9], [16, 36]: what evaluates tiles and kernels, and what interpolates, both axes at once."""
    evaluate, evaluate_kernel, interpolate = np.zeros((_IN, _IN)), np.zeros((_IN, 3)), np.zeros((_OUT, _IN))
    for row, point in enumerate(_POINTS):
        others = [other for other in _POINTS if other != point]
        evaluate[row, :-1] = np.poly(others)[::-1]
        evaluate_kernel[row] = point ** np.arange(3) / np.prod(np.subtract(point, others))
        interpolate[:, row] = point ** np.arange(_OUT)
    evaluate[-1], evaluate_kernel[-1, -1], interpolate[-1, -1] = np.poly(_POINTS)[::-1], 1, 1
    both = [np.kron(matrix, matrix).astype(np.float32) for matrix in (evaluate, evaluate_kernel, interpolate)]
    return both[0], both[1], both[2]
