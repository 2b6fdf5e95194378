"""The engines against each other, the exact definition, and the input they must bear or refuse."""

import concurrent.futures
import dataclasses
import importlib.util
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_tf.crf.dense_crf import DenseCRF, has_native
from deeplab_tf.crf.params import NORMALIZATIONS, CrfParams
from tests.crf.conftest import make_picture
from tests.oracles.crf import exact_mean_field

PARAMS = CrfParams(w1=4, sigma_alpha=20, sigma_beta=10, w2=3, sigma_gamma=2, iterations=4)
native = pytest.mark.skipif(not has_native(), reason="the compiled engine is not built")
BACKENDS = ["numpy", pytest.param("native", marks=native)]


def same(found, expected, difference=1e-2, share=0.999):
    assert found.shape == expected.shape and found.dtype == np.float32
    assert abs(found - expected).max() <= difference
    assert (found.argmax(axis=-1) == expected.argmax(axis=-1)).mean() >= share


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_pydensecrf(backend, normalization):
    pytest.importorskip("pydensecrf")
    image, probs = make_picture(37, 53, 5)
    params = dataclasses.replace(PARAMS, normalization=normalization)
    same(DenseCRF(params, backend)(image, probs), DenseCRF(params, "pydensecrf")(image, probs), 1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_pydensecrf_with_a_matrix(backend):
    pytest.importorskip("pydensecrf")
    image, probs = make_picture(30, 41, 4, seed=2)
    cost = np.random.default_rng(0).uniform(0, 2, (4, 4))
    cost = (cost + cost.T) / 2
    found, expected = (DenseCRF(PARAMS, one, compatibility=cost)(image, probs) for one in (backend, "pydensecrf"))
    same(found, expected, 1e-4)


@native
@pytest.mark.parametrize("classes", [1, 2, 8, 9, 21, 32, 33, 60])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_native_equals_numpy_for_any_number_of_classes_and_threads(classes, threads):
    image, probs = make_picture(67, 71, classes, seed=classes)
    expected = DenseCRF(PARAMS, "numpy")(image, probs)
    same(DenseCRF(PARAMS, "native", threads=threads)(image, probs), expected, 1e-4)


@native
@settings(max_examples=20, deadline=None, database=None, derandomize=True)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 12),
    st.floats(0.5, 100),
    st.floats(1, 60),
    st.floats(0.5, 20),
    st.sampled_from(NORMALIZATIONS),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_native_equals_numpy_anywhere(height, width, classes, alpha, beta, gamma, normalization, iterations, threads):
    image, probs = make_picture(height, width, classes, seed=height * width)
    params = CrfParams(3, alpha, beta, 2, gamma, iterations, normalization)
    found = DenseCRF(params, "native", threads=threads)(image, probs)
    assert abs(found - DenseCRF(params, "numpy")(image, probs)).max() < 2e-3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_exact_definition_bounds_the_lattice_error(backend, normalization):
    image, probs = make_picture(24, 24, 3, seed=5)
    params = dataclasses.replace(PARAMS, sigma_alpha=10, sigma_beta=25, normalization=normalization)
    exact = exact_mean_field(image, probs, params)
    found = DenseCRF(params, backend)(image, probs)
    assert abs(found - exact).mean() < 0.02
    assert (found.argmax(axis=-1) == exact.argmax(axis=-1)).mean() > 0.98
    assert abs(probs - exact).mean() > 4 * abs(found - exact).mean()  # it is the CRF that is being compared


@pytest.mark.parametrize("backend", BACKENDS)
def test_matrix_of_potts_is_potts_and_asymmetry_counts(backend):
    image, probs = make_picture(25, 31, 3)
    potts = DenseCRF(PARAMS, backend)(image, probs)
    same(DenseCRF(PARAMS, backend, compatibility=1 - np.eye(3))(image, probs), potts, 1e-4)
    lopsided = np.array([[0, 3, 0], [0, 0, 1], [2, 0.5, 0]])
    params = dataclasses.replace(PARAMS, sigma_beta=40, sigma_alpha=10)
    exact = exact_mean_field(image, probs, params, lopsided)
    found = DenseCRF(params, backend, compatibility=lopsided)(image, probs)
    turned = DenseCRF(params, backend, compatibility=lopsided.T)(image, probs)
    assert abs(found - exact).mean() < 0.02 < abs(turned - exact).mean()


@pytest.mark.parametrize("backend", BACKENDS)
def test_classes_may_be_renumbered(backend):
    image, probs = make_picture(26, 33, 6)
    order = np.array([3, 1, 5, 0, 2, 4])
    crf = DenseCRF(PARAMS, backend)
    np.testing.assert_allclose(crf(image, probs[..., order]), crf(image, probs)[..., order], atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_kernels_or_iterations_nothing_changes(backend):
    image, probs = make_picture(20, 22, 4)
    for change in ({"w1": 0, "w2": 0}, {"iterations": 0}):
        found = DenseCRF(dataclasses.replace(PARAMS, **change), backend)(image, probs)
        np.testing.assert_allclose(found, probs, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["zeros", "ones", "one-hot", "float16", "float64", "strided", "tiny"])
def test_bears_whatever_probabilities_come(backend, kind):
    image, probs = make_picture(23, 29, 5)
    wanted = probs
    if kind in ("zeros", "ones"):
        probs = wanted = np.full_like(probs, kind == "ones")
    elif kind == "one-hot":
        probs = wanted = np.eye(5)[probs.argmax(axis=-1)]
    elif kind == "tiny":
        probs = wanted = probs * 1e-42
    elif kind == "strided":
        probs, image = np.asfortranarray(np.repeat(probs, 2, axis=1))[:, ::2], image[:, ::-1][:, ::-1]
    else:
        probs = probs.astype(kind)
        wanted = probs.astype(np.float32)
    crf = DenseCRF(PARAMS, backend)
    found = crf(image, probs)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-4)
    np.testing.assert_array_equal(found, crf(np.ascontiguousarray(image), np.ascontiguousarray(wanted, np.float32)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("height,width,classes", [(1, 1, 1), (1, 1, 300), (1, 90, 2), (90, 1, 2), (9, 9, 300)])
def test_odd_sizes(backend, height, width, classes):
    image, probs = make_picture(height, width, classes)
    found = DenseCRF(PARAMS, backend, threads=4)(image, probs)
    assert found.shape == (height, width, classes)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_refuses_bad_input_by_name(backend):
    image, probs = make_picture(12, 14, 3)
    crf = DenseCRF(PARAMS, backend)
    bad, negative = probs.copy(), probs.copy()
    bad[3, 4, 1], negative[11, 13, 2] = np.nan, -0.1
    for arguments, message in [
        ((image, bad), "probs: .*nan"),
        ((image, negative), "probs: .*-0.1"),
        ((image, probs * 20), "softmax"),
        ((image, np.full_like(probs, np.inf)), "inf"),
        ((image[:, :-1], probs), "same height and width"),
        ((image.astype(np.float32), probs), "image: .*uint8"),
        ((image[..., 0], probs), "image: .*3\\]"),
        ((image, probs[..., 0]), "probs: .*classes"),
        ((image, probs[..., :0]), "at least one"),
        ((image[:0], probs[:0]), "at least one"),
        ((image, (probs > 0.5).astype(int)), "probs: .*float"),
    ]:
        with pytest.raises(ValueError, match=message):
            crf(*arguments)
    with pytest.raises(ValueError, match="unary: got NaN"):
        crf.from_unary(image, bad)
    for one in (backend, "pydensecrf") if importlib.util.find_spec("pydensecrf") else (backend,):
        for name in ("sigma_alpha", "sigma_beta", "sigma_gamma"):
            with pytest.raises(ValueError, match="too small"):
                DenseCRF(dataclasses.replace(PARAMS, **{name: 1e-6}), one)(image, probs)
    with pytest.raises(ValueError, match="classes for a compatibility"):
        DenseCRF(PARAMS, backend, compatibility=np.eye(4))(image, probs)


def test_refuses_bad_arguments():
    for arguments in (
        {"backend": "gpu"},
        {"threads": 0},
        {"threads": 1.5},
        {"compatibility": np.ones((2, 3))},
        {"compatibility": np.full((2, 2), np.nan)},
    ):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            DenseCRF(PARAMS, **arguments)
    with pytest.raises(ValueError, match="params"):
        DenseCRF({"w1": 4})


@pytest.mark.parametrize("backend", [*BACKENDS, "pydensecrf"])
def test_trace_ends_in_the_result_and_starts_with_the_input(backend):
    if backend == "pydensecrf":
        pytest.importorskip("pydensecrf")
    image, probs = make_picture(21, 24, 4)
    crf = DenseCRF(PARAMS, backend)
    image.flags.writeable = False  # as numpy.asarray gives a Pillow picture
    found, trace = crf(image, probs, iterations_trace=True)
    assert trace.scores.shape == trace.beliefs.shape == (PARAMS.iterations + 1, 21, 24, 4)
    np.testing.assert_array_equal(found, crf(image, probs))
    np.testing.assert_array_equal(trace.beliefs[-1], found)
    np.testing.assert_allclose(trace.scores[0], np.log(np.maximum(probs, 1e-8)), atol=1e-5)
    fewer = DenseCRF(dataclasses.replace(PARAMS, iterations=2), backend)(image, probs)
    np.testing.assert_allclose(trace.beliefs[2], fewer, atol=1e-6)
    powers = np.exp(trace.scores - trace.scores.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(powers / powers.sum(axis=-1, keepdims=True), trace.beliefs, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_copies_for_other_processes_give_the_same_bits(backend):
    image, probs = make_picture(19, 27, 3)
    crf = DenseCRF(PARAMS, backend, threads=1, compatibility=np.ones((3, 3)) - np.eye(3))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(crf))(image, probs), crf(image, probs))


@pytest.mark.parametrize("backend", BACKENDS)
def test_sweep_and_unary_equal_single_calls(backend):
    image, probs = make_picture(19, 27, 3)
    crf = DenseCRF(PARAMS, backend)
    for w1, found in zip((0, 2, 5.5), crf.sweep(image, probs, (0, 2, 5.5)), strict=True):
        np.testing.assert_array_equal(found, DenseCRF(dataclasses.replace(PARAMS, w1=w1), backend)(image, probs))
    other = dataclasses.replace(PARAMS, sigma_alpha=7)
    np.testing.assert_array_equal(crf.with_params(other)(image, probs), DenseCRF(other, backend)(image, probs))
    unary = -np.log(np.maximum(probs, 1e-8))
    np.testing.assert_allclose(crf.from_unary(image, unary), crf(image, probs), atol=1e-4)
    np.testing.assert_allclose(crf.from_unary(image, unary + 7), crf(image, probs), atol=1e-4)


@native
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_same_bits_every_time_and_from_many_threads(threads):
    image, probs = make_picture(70, 66, 7)
    crf = DenseCRF(PARAMS, "native", threads=threads)
    first = crf(image, probs)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: crf(image, probs), range(8)):
            np.testing.assert_array_equal(again, first)


@native
def test_flush_to_zero_does_not_leak():
    image, probs = make_picture(30, 30, 3)
    DenseCRF(PARAMS, "native", threads=2)(image, probs)
    assert np.float32(1e-38) * np.float32(0.01) != 0
