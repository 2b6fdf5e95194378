"""What the tests of whole training runs share."""

import pathlib

import pytest


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
    """A folder of few rendered scenes, made once: every start reads all of them, and the 700 of `miniature` cost seconds."""
    from deeplab_tf.datasets import miniature
    from deeplab_tf.datasets.scenes import files
    from deeplab_tf.datasets.specs import get_dataset

    root = tmp_path_factory.mktemp("scenes")
    files.ensure(root, "scenes", {"train": (0, 24), "val": (1_000_000, 100)}, miniature.render)
    (root / "labels.txt").write_text("\n".join(get_dataset("miniature").class_names) + "\n")
    return root
