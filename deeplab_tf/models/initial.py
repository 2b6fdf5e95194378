"""Initial weights that depend on the seed and the layer's name alone, so that any composition reproduces them."""

from __future__ import annotations

import zlib

import keras

GAUSSIAN = 0.01  # standard deviation of new layers in the published prototxts
PIXEL_GAIN = 1 / 64  # pixels of natural pictures deviate by about 64; brings the first layer's input to 1


def layer_seed(name: str, seed: int) -> int:
    """A seed of its own for every layer."""
    return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF


def he(name: str, seed: int, gain: float = 1.0) -> keras.Initializer:
    """He's normal initialisation times `gain`, for trunks that start without published weights."""
    return keras.initializers.VarianceScaling(2.0 * gain**2, "fan_in", "truncated_normal", layer_seed(name, seed))


def gaussian(name: str, seed: int, stddev: float = GAUSSIAN) -> keras.Initializer:
    """For heads. He's larger deviation ends with dead ReLUs at the published rate."""
    return keras.initializers.RandomNormal(stddev=stddev, seed=layer_seed(name, seed))
