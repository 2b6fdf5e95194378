"""Fixtures that every test may use."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """Folder of real pictures, masks and weights; tests that need it skip where it is not set."""
    path = os.environ.get("DEEPLAB_TF_TEST_DATA")
    if not path:
        pytest.skip("DEEPLAB_TF_TEST_DATA is not set: no real data for this test")
    return pathlib.Path(path).resolve()
