"""A network of one strided convolution, which keeps the geometry of the real ones: (n - 1) // stride + 1."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def make_model():
    def make(num_classes=4, stride=8, kernel_size=9, seed=0):
        picture = keras.Input((None, None, 3))
        initial = keras.initializers.RandomNormal(0, 0.3 / kernel_size, seed=seed)
        x = keras.layers.Rescaling(1 / 64, offset=-1.8)(picture)
        layer = keras.layers.Conv2D(num_classes, kernel_size, stride, "same", kernel_initializer=initial)
        return keras.Model(picture, layer(x), name="one_convolution")

    return make


@pytest.fixture
def picture():
    def make(height, width, seed=0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)

    return make
