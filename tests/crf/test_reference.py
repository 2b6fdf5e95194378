"""Published cases and real score maps: the engine gives what pydensecrf gave."""

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams


def assert_same(found, expected):
    assert abs(found - expected).max() <= 1e-2
    assert (found.argmax(axis=-1) == expected.argmax(axis=-1)).mean() >= 0.999


@pytest.mark.parametrize("number", [1, 2, 3])
def test_pydensecrf_examples(test_data, number):
    case = np.load(test_data / f"reference/crf/pydensecrf_example{number}.npz")
    # These were made with pydensecrf's feature helpers, which put y before x: the lattice of the transposed picture.
    image = case["image"].transpose(1, 0, 2)
    unary = case["unary"].reshape(-1, *case["image"].shape[:2]).transpose(2, 1, 0)
    params = CrfParams(w1=10, sigma_alpha=80, sigma_beta=13, w2=3, sigma_gamma=3, iterations=5)
    assert_same(DenseCRF(params).from_unary(image, unary), case["Q"].transpose(2, 1, 0))


def test_msrc(test_data):
    case = np.load(test_data / "reference/crf/msrc_textonboost.npz")
    params = CrfParams(w1=4, sigma_alpha=49, sigma_beta=5, w2=3, sigma_gamma=3)
    assert_same(DenseCRF(params)(case["image"], case["prob"]), case["Q"].transpose(1, 2, 0))


@pytest.mark.parametrize("normalization", ["symmetric", "after"])
def test_real_scores(real_scores, normalization):
    pytest.importorskip("pydensecrf")
    params = CrfParams(normalization=normalization)
    image, probs = real_scores("2007_000129")
    assert_same(DenseCRF(params)(image, probs), DenseCRF(params, "pydensecrf")(image, probs))
