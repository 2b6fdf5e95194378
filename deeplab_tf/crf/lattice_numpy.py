"""Gaussian filtering on the permutohedral lattice (Adams, Baek, Davis 2010) in NumPy: the twin of the C++ engine.

Every sample is embedded in the lattice A*_d, its value is spread over the d + 1 corners of its simplex (splat),
the corners are blurred along the d + 1 axes with [1/2, 1, 1/2] (blur), and read back with the same weights (slice).
As in pydensecrf only corners that some sample touches exist; what the blur would carry elsewhere is dropped.
"""

import numpy as np


class Lattice:
    """A lattice over fixed samples, to be used for many filterings.

    Args:
        features: float [samples, d], positions already divided by the kernel's widths.
    """

    def __init__(self, features: np.ndarray):
        samples, dims = features.shape
        corners, self.weights = _embed(np.asarray(features, np.float32))
        # v_j = (-1, .., -1 + (d + 1) at j, ..) are the axes; in the basis v_0..v_{d-1} a step along axis j adds one
        # to coordinate j, and a step along axis d takes one from every coordinate.
        basis = ((corners[:, :, :dims] - corners[:, :, dims:]) // (dims + 1)).reshape(-1, dims)
        keys, strides = _pack(basis)
        self._keys, offsets = np.unique(keys, return_inverse=True)
        self.offsets = offsets.reshape(samples, dims + 1)
        self.size = len(self._keys)
        steps = [*strides, -sum(strides)]
        self._neighbours = [(self._find(self._keys + step), self._find(self._keys - step)) for step in steps]
        self._alpha = np.float32(1 / (1 + 2.0**-dims))

    def _find(self, keys: np.ndarray) -> np.ndarray:
        """Index of each key; `size` (a row of zeros) where no sample touches that corner."""
        place = np.minimum(np.searchsorted(self._keys, keys), self.size - 1)
        return np.where(self._keys[place] == keys, place, self.size)

    def filter(self, values: np.ndarray, transpose: bool = False) -> np.ndarray:
        """The kernel matrix times `values`.

        Args:
            values: float [samples, channels].
            transpose: blur the axes in the reverse order, which is the transposed matrix.

        Returns:
            float32 [samples, channels].
        """
        rows = np.zeros((self.size + 1, values.shape[1]), np.float32)
        flat = self.offsets.ravel()
        for channel in range(values.shape[1]):
            spread = (self.weights * values[:, channel, None]).ravel()
            rows[:-1, channel] = np.bincount(flat, spread, minlength=self.size)
        for ahead, behind in reversed(self._neighbours) if transpose else self._neighbours:
            rows[:-1] += np.float32(0.5) * (rows[ahead] + rows[behind])
        out = np.zeros(values.shape, np.float32)
        for corner in range(self.offsets.shape[1]):
            out += self.weights[:, corner, None] * rows[self.offsets[:, corner]]
        return out * self._alpha


def _embed(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners int64 [samples, d + 1, d + 1] (corner, coordinate) and weights float32 [samples, d + 1] of each simplex."""
    samples, dims = features.shape
    index = np.arange(dims)
    # Rounded where pydensecrf rounds: samples on the border of two simplices must fall to the same side.
    deviation = np.float64(np.float32(np.sqrt(2 / 3) * (dims + 1)))
    scale = (1 / np.sqrt((index + 2.0) * (index + 1.0)) * deviation).astype(np.float32)
    scaled = features * scale
    elevated = np.zeros((samples, dims + 1), np.float32)
    total = np.zeros(samples, np.float32)
    for axis in range(dims, 0, -1):
        elevated[:, axis] = total - np.float32(axis) * scaled[:, axis - 1]
        total = total + scaled[:, axis - 1]
    elevated[:, 0] = total

    down = np.float32(1 / (dims + 1))
    nearest = np.rint(elevated * down).astype(np.int64)
    excess = nearest.sum(axis=1, keepdims=True)
    remainder0 = nearest * (dims + 1)
    # rank 0 is the coordinate farthest above its nearest point; ties go to the lower index.
    order = np.argsort(-(elevated - remainder0), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(dims + 1), order.shape), axis=1)
    rank = rank + excess
    wrap = (rank < 0).astype(np.int64) - (rank > dims)
    rank += wrap * (dims + 1)
    remainder0 += wrap * (dims + 1)

    above = (elevated - remainder0) * down
    barycentric = np.zeros((samples, dims + 2), np.float32)
    rows = np.arange(samples)
    for axis in range(dims + 1):
        place = dims - rank[:, axis]
        barycentric[rows, place] += above[:, axis]
        barycentric[rows, place + 1] -= above[:, axis]
    barycentric[:, 0] += 1 + barycentric[:, dims + 1]

    colour = np.arange(dims + 1)[None, :, None]
    canonical = np.where(rank[:, None, :] <= dims - colour, colour, colour - (dims + 1))
    return remainder0[:, None, :] + canonical, barycentric[:, :-1]


def _pack(basis: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """One integer per lattice point, linear in its coordinates, with room for a step on either side."""
    low, high = basis.min(axis=0) - 1, basis.max(axis=0) + 1
    strides, size = [], 1
    for extent in (high - low + 1).tolist():
        strides.append(size)
        size *= extent
    if size >= 2**62:
        raise ValueError(
            "CRF sigmas are too small for this picture: the lattice has more than 2^62 places; use larger "
            "sigma_alpha, sigma_beta or sigma_gamma, or divide the features by larger widths."
        )
    return (basis - low) @ np.array(strides, np.int64), strides
