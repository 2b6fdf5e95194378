"""Boundary F1 against a loop over pixels, and what must not change it."""

import numpy as np
import pytest
from oracles import contours as oracle

from deeplab_tf.metrics.boundary_f1 import boundary_counts, boundary_f1


def maps(seed, shape=(37, 53)):
    """A label map of blocks with void, and a prediction that is moved and speckled."""
    random = np.random.default_rng(seed)
    label = np.kron(random.integers(0, 4, (6, 8)), np.ones((7, 7), int))[: shape[0], : shape[1]]
    prediction = np.roll(label, (2, -1), (0, 1))
    speckled = random.random(shape) < 0.03
    prediction[speckled] = random.integers(0, 4, speckled.sum())
    label = label.copy()
    label[10:14, :20] = 255
    return label.astype(np.uint8), prediction


@pytest.mark.parametrize("tolerance", [0.0, 0.0075, 0.03, 0.1])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_loop(seed, tolerance):
    label, prediction = maps(seed)
    found = boundary_f1(boundary_counts(label, prediction, 5, tolerance=tolerance))
    expected = oracle.boundary_f1(label, prediction, 5, 255, tolerance * np.hypot(*label.shape))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.isnan(found[4])


def test_void_pixels_change_nothing():
    label, prediction = maps(2)
    other = np.where(label == 255, 3 - prediction, prediction)
    np.testing.assert_array_equal(boundary_counts(label, prediction, 4), boundary_counts(label, other, 4))


def test_a_perfect_prediction_scores_one_and_a_turned_pair_swaps_precision_and_recall():
    label, prediction = maps(3)
    label[label == 255] = 0
    np.testing.assert_array_equal(boundary_f1(boundary_counts(label, label, 4)), 1)
    one, two = boundary_counts(label, prediction, 4), boundary_counts(prediction, label, 4)
    np.testing.assert_array_equal(one, two[[2, 3, 0, 1]])
    np.testing.assert_array_equal(boundary_counts(label.T, prediction.T, 4), one)
