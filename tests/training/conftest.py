"""What the tests of whole training runs share."""

import pathlib

import pytest


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
    """The rendered scenes, made once."""
    from deeplab_tf.datasets import miniature

    return miniature.ensure(tmp_path_factory.mktemp("miniature"))
