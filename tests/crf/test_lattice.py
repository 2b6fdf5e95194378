"""The NumPy lattice against its slow definition, the exact Gaussian, and what must hold for any filter of its kind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_tf.crf.lattice_numpy import Lattice
from tests.oracles.crf import gaussian_matrix, slow_lattice_filter


@pytest.mark.parametrize("dims", [1, 2, 3, 5])
def test_equals_the_slow_definition(dims):
    rng = np.random.default_rng(dims)
    features = rng.normal(size=(150, dims)).astype(np.float32) * 1.5 + 0.3
    values = rng.normal(size=(150, 3)).astype(np.float32)
    expected = slow_lattice_filter(features, values)
    np.testing.assert_allclose(Lattice(features).filter(values), expected, atol=2e-5)


@pytest.mark.parametrize("dims", [2, 5])
def test_is_close_to_the_exact_gaussian_on_dense_samples(dims):
    rng = np.random.default_rng(dims)
    features = rng.uniform(0, 1.5, size=(1500, dims)).astype(np.float32)
    values = rng.uniform(size=(1500, 1)).astype(np.float32)
    matrix = gaussian_matrix(features)
    exact = (matrix @ values) / matrix.sum(axis=1, keepdims=True)
    lattice = Lattice(features)
    found = lattice.filter(values) / lattice.filter(np.ones_like(values))
    assert abs(found - exact).max() < 0.05


def test_transpose_is_the_adjoint():
    rng = np.random.default_rng(3)
    lattice = Lattice(rng.normal(size=(400, 5)).astype(np.float32))
    a, b = rng.normal(size=(2, 400, 1)).astype(np.float32)
    forward, backward = (lattice.filter(a) * b).sum(), (a * lattice.filter(b, transpose=True)).sum()
    assert forward == pytest.approx(backward, rel=1e-4)


@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(-50, 50))
def test_is_linear_and_keeps_the_weights_whole(seed, dims, shift):
    rng = np.random.default_rng(seed)
    lattice = Lattice((rng.normal(size=(60, dims)) + shift).astype(np.float32))
    np.testing.assert_allclose(lattice.weights.sum(axis=1), 1, atol=1e-4)
    assert lattice.weights.min() > -1e-4
    a, b = rng.normal(size=(2, 60, 2)).astype(np.float32)
    np.testing.assert_allclose(lattice.filter(2 * a - b), 2 * lattice.filter(a) - lattice.filter(b), atol=1e-3)


def test_refuses_sigmas_that_no_number_can_index():
    features = np.random.default_rng(0).normal(size=(10, 5)) * 1e6
    with pytest.raises(ValueError, match="too small"):
        Lattice(features)
