"""The in-model preprocessing."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.layers import SubtractMean
from deeplab_tf.published import MEAN_RGB


def test_is_bgr_minus_the_published_mean():
    picture = np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3)).astype(np.float32)
    expected = picture[..., ::-1] - np.array([104.008, 116.669, 122.675], np.float32)
    np.testing.assert_allclose(SubtractMean()(picture), expected, atol=1e-5)


def test_the_mean_pixel_becomes_zero():
    assert not np.any(SubtractMean()(np.full((1, 3, 3, 3), MEAN_RGB, np.float32)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_bfloat16_rounds_after_the_subtraction(dtype):
    """Rounded before, 123 and 122.675 would be the same number."""
    picture = np.full((1, 1, 1, 3), (123, 117, 104), dtype)
    y = SubtractMean(dtype="mixed_bfloat16")(picture)
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(y, tf.float32).numpy().ravel(), (-0.008, 0.331, 0.325), rtol=5e-3)
