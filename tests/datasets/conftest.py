"""Small data sets made on the spot."""

import shutil

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import get_dataset


def write_pair(root, split, name, image, label):
    """A picture and its mask in the layout images/SPLIT, masks/SPLIT."""
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "images" / split / f"{name}.jpg", quality=95)
    Image.fromarray(label).save(root / "masks" / split / f"{name}.png")


def write_folder(root):
    """7 train and 2 val pictures of 40x56 to 46x56, classes bg, cat, dog; returns (root, spec)."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    (root / "labels.txt").write_text("bg\ncat\ndog\n")
    random = np.random.default_rng(5)
    for number in range(9):
        height, width = 40 + number % 7, 56
        image = np.kron(random.integers(0, 256, (8, 8, 3)), np.ones((6, 7, 1)))[:height, :width].astype(np.uint8)
        label = np.kron(random.integers(0, 3, (4, 4)), np.ones((12, 14)))[:height, :width].astype(np.uint8)
        label[:2] = 255
        write_pair(root, "train" if number < 7 else "val", f"p{number}", image, label)
    return root, get_dataset("folder", root)


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory):
    """Function that writes a clean user's folder, always at the same place; returns (root, spec)."""
    root = tmp_path_factory.mktemp("data") / "folder"
    return lambda: write_folder(root)


@pytest.fixture
def folder(make_folder):
    """A clean user's folder, written anew for every test; returns (root, spec)."""
    return make_folder()


@pytest.fixture(scope="session")
def train_once(make_folder):
    """Function that reads one training batch of all 7 train pictures, as their files are now.

    The pipeline is traced once for all tests: it holds the files' names, and every call opens them anew.
    """
    from deeplab_tf.datasets import pipeline

    root, spec = make_folder()
    of_clean = list_samples(spec, root, "train")
    options = {"crop_size": 33, "batch_size": 7, "scales": (0.75, 1.0, 1.25), "num_steps": 1}
    batches = pipeline.batches_of(pipeline.files(spec, of_clean), **options)

    def train(samples):
        assert samples == of_clean
        return list(batches)

    return train
