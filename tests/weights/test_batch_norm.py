"""Biases and epsilons absorbed into batch norm statistics, against the formula in double precision."""

import numpy as np
import pytest

from deeplab_tf.weights import batch_norm


@pytest.mark.parametrize("epsilon", [1e-3, 1.001e-5, 1e-5, 1e-6])
def test_absorbing_changes_no_output(epsilon):
    random = np.random.default_rng(1)
    n = 64
    tensors = {
        "res3a_branch2b/kernel": random.standard_normal((1, 1, 2, n)).astype(np.float32),
        "res3a_branch2b/bias": random.standard_normal(n).astype(np.float32),
        "bn3a_branch2b/gamma": random.standard_normal(n).astype(np.float32),
        "bn3a_branch2b/beta": random.standard_normal(n).astype(np.float32),
        "bn3a_branch2b/moving_mean": random.standard_normal(n).astype(np.float32),
        "bn3a_branch2b/moving_variance": np.geomspace(8.6e-7, 83615, n).astype(np.float32),
        "fc6/bias": np.ones(3, np.float32),
    }
    result = batch_norm.absorb(tensors, epsilon)
    assert set(tensors) - set(result) == {"res3a_branch2b/bias"}
    np.testing.assert_array_equal(result["fc6/bias"], tensors["fc6/bias"])
    x = random.standard_normal((50, n))
    double = {key: value.astype(np.float64) for key, value in tensors.items()}
    t = {key.split("/")[-1]: value for key, value in double.items() if "3a" in key}
    r = {key.split("/")[-1]: value.astype(np.float64) for key, value in result.items() if "3a" in key}
    theirs = t["gamma"] * (x + t["bias"] - t["moving_mean"]) / np.sqrt(t["moving_variance"] + epsilon) + t["beta"]
    ours = r["gamma"] * (x - r["moving_mean"]) / np.sqrt(r["moving_variance"] + 1e-5) + r["beta"]
    assert np.abs((ours - theirs) / np.abs(theirs).max(axis=0)).max() < 2e-6


def test_first_convolution_has_a_batch_norm_of_its_own_name():
    tensors = {name: np.ones(2, np.float32) for name in ("conv1/bias", "bn_conv1/moving_mean", "bn_conv1/moving_variance")}
    result = batch_norm.absorb(tensors, 1e-5)
    np.testing.assert_array_equal(result["bn_conv1/moving_mean"], 0)
    assert "conv1/bias" not in result
