"""A wrong file is named: where it is read by itself, and where a pipeline stumbles over it."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.datasets import specs
from deeplab_tf.datasets.masks import read_label, read_mask_values
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.wrong_files import user_errors
from deeplab_tf.errors import UserError

VOC = specs.get_dataset("voc2012")
RANDOM = np.random.default_rng(3)


def read_mask(path):
    return read_label(path, VOC)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
@pytest.mark.parametrize("reads", [(read_image,), (read_mask, read_mask_values)], ids=["picture", "mask"])
def test_files_cut_off_anywhere_are_named(tmp_path, mode, reads):
    path = tmp_path / "bäd x"
    image = Image.fromarray(RANDOM.integers(0, 21, (17, 13), np.uint8), "P")
    image.putpalette(RANDOM.integers(0, 256, 768, np.uint8).tobytes())
    told = rf"^{path}: (no PNG|cannot be read \(\w[^<>{{]{{,40}}\)), expected a [^\n]*\.$"
    formats = ["PNG"] if mode == "P" or len(reads) == 2 else ["PNG", "JPEG"]
    for kind in formats:
        image.convert(mode).save(path, kind)
        whole = path.read_bytes()
        for keep in sorted({*range(70), *range(70, len(whole), 29), len(whole) - 30}):
            path.write_bytes(whole[:keep])
            for read in reads:
                with pytest.raises(UserError, match=told):
                    read(path)


@pytest.mark.parametrize("kind", ["WebP", "GIF", "BMP", "TIFF", "AVIF"])
def test_other_formats_are_named_whatever_the_ending(tmp_path, kind):
    path = tmp_path / "a.png"
    Image.fromarray(RANDOM.integers(0, 21, (16, 16), np.uint8)).convert("RGB").save(path, kind)
    for read, expected in ((read_image, "a JPEG or PNG picture"), (read_mask, "a PNG mask"), (read_mask_values, "a PNG mask")):
        with pytest.raises(UserError, match=rf"a\.png: holds {kind}, expected {expected}; convert it\.$"):
            read(path)


def test_what_the_system_refuses_to_read(tmp_path):
    for path, reason in ((tmp_path / "nowhere.png", "no such file"), (tmp_path, r"cannot be read \(Is a directory\)")):
        for read in (read_image, read_mask):
            with pytest.raises(UserError, match=rf"^{path}: {reason}, expected"):
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
