"""Small data sets made on the spot."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.specs import get_dataset


def write_pair(root, split, name, image, label):
    """A picture and its mask in the layout images/SPLIT, masks/SPLIT."""
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "images" / split / f"{name}.jpg", quality=95)
    Image.fromarray(label).save(root / "masks" / split / f"{name}.png")


@pytest.fixture
def folder(tmp_path):
    """A clean user's folder: 7 train and 2 val pictures of 40x56 to 46x56, classes bg, cat, dog; returns (root, spec)."""
    (tmp_path / "labels.txt").write_text("bg\ncat\ndog\n")
    random = np.random.default_rng(5)
    for number in range(9):
        height, width = 40 + number % 7, 56
        image = np.kron(random.integers(0, 256, (8, 8, 3)), np.ones((6, 7, 1)))[:height, :width].astype(np.uint8)
        label = np.kron(random.integers(0, 3, (4, 4)), np.ones((12, 14)))[:height, :width].astype(np.uint8)
        label[:2] = 255
        write_pair(tmp_path, "train" if number < 7 else "val", f"p{number}", image, label)
    return tmp_path, get_dataset("folder", tmp_path)
