"""A wrong file is named: where it is read by itself, and where a pipeline stumbles over it."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.datasets import specs
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.wrong_files import user_errors
from deeplab_tf.errors import UserError

VOC = specs.get_dataset("voc2012")
RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("keep", [0, 5, 20, 33, 60, -30])
def test_broken_files_are_named(tmp_path, keep):
    Image.fromarray(RANDOM.integers(0, 256, (30, 40, 3), np.uint8)).save(tmp_path / "bäd x.jpg")
    Image.fromarray(RANDOM.integers(0, 21, (37, 53), np.uint8)).save(tmp_path / "bäd x.png")
    for path, read in (
        (tmp_path / "bäd x.jpg", read_image),
        (tmp_path / "bäd x.png", lambda p: read_label(p, VOC)),
    ):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UserError, match="bäd x"):
            read(path)


@pytest.mark.parametrize(
    "name, spoil, message",
    [
        ("masks/train/p3.png", lambda path: path.write_bytes(b""), "no PNG"),
        ("images/train/p3.jpg", lambda path: path.unlink(), "no such file|No such file"),
    ],
)
def test_a_file_that_goes_wrong_stops_the_training_by_name(folder, train_once, name, spoil, message):
    """After the files were listed; other faults are those of test_checks."""
    root, spec = folder
    samples = list_samples(spec, root, "train")
    spoil(root / name)
    with pytest.raises(UserError, match=rf"{name}.*({message})"):
        with user_errors(spec, samples):
            train_once(samples)


def test_other_errors_pass_through_unchanged(folder):
    root, spec = folder
    with pytest.raises(tf.errors.InvalidArgumentError):
        with user_errors(spec, list_samples(spec, root, "train")):
            tf.debugging.Assert(False, ["not a matter of files"])
