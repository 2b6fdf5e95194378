"""`deeplab_tf.crf` needs NumPy alone, and without its engine says why and goes on."""

import pathlib
import subprocess
import sys

from deeplab_tf.crf.dense_crf import engine_missing, has_native


def test_with_numpy_alone():
    script = pathlib.Path(__file__).with_name("numpy_alone.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("numpy alone:"), done.stderr


def test_a_missing_engine_is_explained_in_a_sentence():
    assert (engine_missing() is None) == has_native()
    code = """
import sys
sys.modules["deeplab_tf.crf._engine"] = None
from deeplab_tf.crf.dense_crf import DenseCRF, engine_missing
assert DenseCRF().backend == "numpy"
print(engine_missing())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "NumPy" in done.stdout and "slower" in done.stdout and done.stdout.count("\n") == 1
