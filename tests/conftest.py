"""Fixtures that every test may use."""

import os
import pathlib
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

# Of the demo's training: half its filters and less than half its pixels for a quarter of its steps know the ground and some of
# the large objects (28.5 % mIoU; with crops to 65 17.1 %, hardly more than the background alone; with batches of 4 one class).
TRAINED = ("--steps=350", "--batch_size=6", "--width=0.125", "--base_learning_rate=0.02", "--crop_size=97")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_collection_modifyitems(items):
    """Files of few, long tests first (see addopts in setup.cfg): so no process is left alone with them at the end."""
    long = {"doors", "training", "serving", "weights", "parity", "test_paper.py", "test_keras_objects.py"}
    items.sort(key=lambda item: not long & set(item.path.parts))


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """Folder of real pictures, masks and weights; tests that need it skip where it is not set."""
    path = os.environ.get("DEEPLAB_TF_TEST_DATA")
    if not path:
        pytest.skip("DEEPLAB_TF_TEST_DATA is not set: no real data for this test")
    return pathlib.Path(path).resolve()


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> pathlib.Path:
    """Folder of a trained network: the demo's training, cut short, with its fixed seed; nothing trained is committed."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    flagfile = pathlib.Path(__file__).parents[1] / "experiments" / "miniature.flags"
    command = ["-m", "deeplab_tf.train", f"--flagfile={flagfile}", f"--workdir={workdir}", f"--data_dir={workdir}-data"]
    result = subprocess.run([sys.executable, *command, *TRAINED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return workdir


@pytest.fixture(scope="session")
def make_model():
    """A network of one strided convolution, which keeps the geometry of the real ones: (n - 1) // stride + 1."""
    import keras

    def make(num_classes=4, stride=8, kernel_size=9, seed=0):
        picture = keras.Input((None, None, 3))
        initial = keras.initializers.RandomNormal(0, 0.3 / kernel_size, seed=seed)
        x = keras.layers.Rescaling(1 / 64, offset=-1.8)(picture)
        layer = keras.layers.Conv2D(num_classes, kernel_size, stride, "same", kernel_initializer=initial)
        return keras.Model(picture, layer(x), name="one_convolution")

    return make


@pytest.fixture
def zero_weights(monkeypatch):
    """Networks begin with zeros: random values cost most of the time of one that is built for its shapes alone."""
    import keras

    def zeros(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    for initializer in (keras.initializers.VarianceScaling, keras.initializers.RandomNormal):
        monkeypatch.setattr(initializer, "__call__", zeros)


@pytest.fixture
def picture():
    """Makes uint8 RGB pictures of noise."""

    def make(height, width, seed=0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)

    return make


@pytest.fixture
def few_bits():
    """Writes ids, uint8 [height, width], as a grey PNG of 1, 2 or 4 bits a pixel, which Pillow does not write."""

    def write(path, ids, bits):
        packed = np.packbits(np.unpackbits(ids[..., None], axis=-1)[..., -bits:].reshape(len(ids), -1), axis=1)
        rows = b"".join(b"\0" + row.tobytes() for row in packed)
        parts = (
            (b"IHDR", struct.pack(">IIBBBBB", *ids.shape[::-1], bits, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
        chunks = (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))

    return write
