"""Filtering over any features: the engine against its twin, the exact Gaussian, and what holds for any matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_tf.crf.dense_crf import has_native
from deeplab_tf.crf.filtering import MOST_DIMENSIONS, GaussianFilter
from deeplab_tf.crf.mean_field import bilateral_features
from deeplab_tf.crf.params import NORMALIZATIONS
from tests.crf.conftest import make_picture
from tests.oracles.crf import gaussian_matrix, normalised, slow_lattice_filter

native = pytest.mark.skipif(not has_native(), reason="the compiled engine is not built")
BACKENDS = ["numpy", pytest.param("native", marks=native)]


def make(pixels, dims, channels, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(pixels, dims)) * spread + 0.3).astype(np.float32)
    return features, rng.normal(size=(pixels, channels)).astype(np.float32)


@pytest.mark.parametrize("dims", [1, 2, 3, 4, 5, 6, 8, 12])
@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_slow_definition(backend, dims):
    features, values = make(150, dims, 3, seed=dims)
    found = GaussianFilter(features, normalization="none", backend=backend)(values)
    np.testing.assert_allclose(found, slow_lattice_filter(features, values), atol=3e-5)


@native
@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(
    st.integers(1, 9000),
    st.integers(1, 8),
    st.integers(1, 35),
    st.floats(0.01, 6),
    st.sampled_from(NORMALIZATIONS),
    st.booleans(),
    st.integers(1, 4),
)
def test_native_equals_numpy_anywhere(pixels, dims, channels, spread, normalization, transpose, threads):
    features, values = make(pixels, dims, channels, seed=pixels, spread=spread)
    ours, twin = (
        GaussianFilter(features, normalization=normalization, backend=one, threads=threads) for one in ("native", "numpy")
    )
    np.testing.assert_allclose(ours.norm, twin.norm, rtol=1e-4)
    expected = twin(values, transpose=transpose)
    np.testing.assert_allclose(ours(values, transpose=transpose), expected, atol=2e-4 * max(1, abs(expected).max()))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_transpose_is_the_adjoint(backend, normalization):
    image, values = make_picture(50, 60, 4)
    apply = GaussianFilter(bilateral_features(image, 8, 12), normalization=normalization, backend=backend, threads=2)
    values = values.reshape(-1, 4)
    other = np.random.default_rng(1).normal(size=values.shape).astype(np.float32)
    forward, backward = (apply(values) * other).sum(), (apply(other, transpose=True) * values).sum()
    assert abs(forward - backward) < 1e-4 * abs(apply(values) * other).sum()
    plain = (apply(other) * values).sum()
    assert abs(forward - plain) > abs(forward - backward)  # the matrix is not symmetric: the order of the axes counts


@pytest.mark.parametrize("dims", [1, 4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_is_close_to_the_exact_gaussian_on_dense_samples(backend, dims):
    features = np.random.default_rng(dims).uniform(0, 1.5, size=(1500, dims)).astype(np.float32)
    values = np.random.default_rng(0).uniform(size=(1500, 1)).astype(np.float32)
    for normalization in ("symmetric", "after"):
        exact = normalised(gaussian_matrix(features), normalization) @ values
        assert abs(GaussianFilter(features, normalization=normalization, backend=backend)(values) - exact).max() < 0.06


@pytest.mark.parametrize("backend", BACKENDS)
def test_row_sums_are_what_the_norm_is_made_of(backend):
    features, _ = make(400, 3, 1)
    total = GaussianFilter(features, normalization="none", backend=backend)(np.ones((400, 1)))[:, 0]
    for normalization, power in (("symmetric", -0.5), ("after", -1), ("before", -1), ("none", 0)):
        norm = GaussianFilter(features, normalization=normalization, backend=backend).norm
        np.testing.assert_allclose(norm, total**power, rtol=1e-5)
    ones = GaussianFilter(features, normalization="after", backend=backend)(np.ones((400, 2)))
    np.testing.assert_allclose(ones, 1, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_order_of_pixels_and_channels_does_not_matter(backend):
    features, values = make(700, 4, 9)
    order, channels = np.random.default_rng(3).permutation(700), np.array([4, 0, 8, 2, 1, 7, 3, 6, 5])
    found = GaussianFilter(features, backend=backend)(values)
    moved = GaussianFilter(features[order], backend=backend)(values[order][:, channels])
    np.testing.assert_allclose(moved, found[order][:, channels], atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_refuses_bad_input_by_name(backend):
    features, values = make(20, 3, 2)
    for bad in (features[0], features[:0], features[:, :0], np.zeros((4, MOST_DIMENSIONS + 1)), features > 0):
        with pytest.raises(ValueError, match="features: got shape"):
            GaussianFilter(bad, backend=backend)
    with pytest.raises(ValueError, match="features: got NaN"):
        GaussianFilter(features * np.nan, backend=backend)
    with pytest.raises(ValueError, match="widths"):
        GaussianFilter(features * 1e7, backend=backend)
    with pytest.raises(ValueError, match="normalization: got 'half'"):
        GaussianFilter(features, normalization="half", backend=backend)
    apply = GaussianFilter(features, backend=backend)
    for bad in (values[:-1], values[:, :0], values[0], values > 0):
        with pytest.raises(ValueError, match="values: got shape"):
            apply(bad)
    for name, arguments in (("backend", {"backend": "pydensecrf"}), ("threads", {"threads": 0, "backend": backend})):
        with pytest.raises(ValueError, match=name):
            GaussianFilter(features, **arguments)
