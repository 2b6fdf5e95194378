"""Fixtures that every test may use."""

import os
import pathlib
import subprocess
import sys

import pytest

TRAINED_STEPS = 350  # of the demo's steps: enough to know most of the large objects

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


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
    result = subprocess.run([sys.executable, *command, f"--steps={TRAINED_STEPS}"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return workdir
