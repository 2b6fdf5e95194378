"""The chessboard distance against OpenCV's, and what the folder needs to be imported."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from deeplab_tf.metrics.distance import chessboard_distance


@pytest.mark.parametrize("density", [0.0005, 0.02, 0.5])
def test_equals_opencvs_exactly(density):
    for seed in range(3):
        seeds = np.random.default_rng(seed).random((61, 83)) < density
        seeds[7, 70] = True
        expected = cv2.distanceTransform(np.uint8(~seeds), cv2.DIST_C, 3)
        np.testing.assert_array_equal(chessboard_distance(seeds), expected)
        np.testing.assert_array_equal(chessboard_distance(seeds.T), expected.T)


def test_no_seed_is_further_than_the_picture():
    assert (chessboard_distance(np.zeros((4, 6), bool)) >= 10).all()


def test_metrics_need_numpy_alone():
    code = """if True:
        import importlib, pkgutil, sys

        class Blocker:
            def find_spec(self, name, *_):
                if name.split(".")[0] in ("cv2", "PIL", "tensorflow", "keras", "scipy", "tqdm"):
                    raise ImportError(name)

        sys.meta_path.insert(0, Blocker())
        import deeplab_tf.metrics as room
        for module in pkgutil.iter_modules(room.__path__): importlib.import_module(f"deeplab_tf.metrics.{module.name}")
    """
    subprocess.run([sys.executable, "-c", code], check=True)
