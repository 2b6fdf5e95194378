"""Mean field over any kernels: against pydensecrf, against its own picture case, and step by step."""

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DenseCRF, has_native
from deeplab_tf.crf.feature_crf import FeatureCRF, PairwiseKernel
from deeplab_tf.crf.mean_field import bilateral_features, position_features
from deeplab_tf.crf.params import NORMALIZATIONS, CrfParams
from tests.crf.conftest import make_picture
from tests.oracles.crf import gaussian_matrix, normalised

native = pytest.mark.skipif(not has_native(), reason="the compiled engine is not built")
BACKENDS = ["numpy", pytest.param("native", marks=native)]
CLASSES = 5
VECTOR = np.array([-3.0, -1.0, -2.0, 0.5, -2.5], np.float32)
MATRIX = np.random.default_rng(7).uniform(0, 3, (CLASSES, CLASSES)).astype(np.float32)


def volume(seed=0):
    """Features of a [4, 9, 11] volume with one channel, [pixels, 4], others [pixels, 1], and unaries."""
    image, probs = make_picture(36, 11, CLASSES, seed=seed)
    z, y, x = (axis.reshape(-1, 1).astype(np.float32) for axis in np.mgrid[:4, :9, :11])
    grey = image[..., :1].reshape(-1, 1).astype(np.float32)
    return np.hstack([x / 4, y / 4, z / 2, grey / 30]), grey / 50, -np.log(np.maximum(probs.reshape(-1, CLASSES), 1e-8))


def kernels(normalizations=("symmetric", "after", "before")):
    four, one, unary = volume()
    costs = (4.0, VECTOR, (MATRIX + MATRIX.T) / 2)
    found = [
        PairwiseKernel(features, cost, normalization)
        for features, cost, normalization in zip((four, one, four[:, :3] * 2), costs, normalizations, strict=True)
    ]
    return found, unary


def theirs(chosen, unary):
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    modes = {
        "symmetric": densecrf.NORMALIZE_SYMMETRIC,
        "after": densecrf.NORMALIZE_AFTER,
        "before": densecrf.NORMALIZE_BEFORE,
        "none": densecrf.NO_NORMALIZATION,
    }
    crf = densecrf.DenseCRF(*unary.shape)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.T))
    for kernel in chosen:
        cost = kernel.compatibility
        crf.addPairwiseEnergy(
            np.ascontiguousarray(kernel.features.T),
            compat=float(cost) if cost.ndim == 0 else cost,
            normalization=modes[kernel.normalization],
        )
    return crf


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_pydensecrf_step_by_step(backend, normalization):
    chosen, unary = kernels((normalization,) * 3)
    crf, oracle = FeatureCRF(chosen, backend=backend, threads=2), theirs(chosen, unary)
    belief, score, scratch = oracle.startInference()
    found = crf.start(unary)
    for _ in range(3):
        np.testing.assert_allclose(found, np.array(belief).T, atol=2e-4)
        divergence = oracle.klDivergence(belief)
        assert abs(crf.kl_divergence(unary, found) - divergence) < 1e-4 * abs(divergence) + 0.05
        oracle.stepInference(belief, score, scratch)
        found = crf.step(unary, found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_infer_is_start_and_steps(backend):
    chosen, unary = kernels()
    crf = FeatureCRF(chosen, backend=backend)
    found = crf.start(unary)
    for _ in range(4):
        found = crf.step(unary, found)
    np.testing.assert_allclose(found, crf.infer(unary, 4), atol=1e-5)
    np.testing.assert_allclose(crf.infer(unary + 3, 4), found, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_the_definition_with_an_asymmetric_matrix(backend):
    rng = np.random.default_rng(5)
    features = rng.uniform(0, 1.5, size=(900, 3)).astype(np.float32)
    unary = rng.uniform(0, 4, size=(900, CLASSES)).astype(np.float32)
    crf = FeatureCRF([PairwiseKernel(features, MATRIX, "after")], backend=backend)
    matrix, scores = normalised(gaussian_matrix(features), "after"), -unary
    for _ in range(3):
        belief = np.exp(scores - scores.max(axis=1, keepdims=True))
        belief /= belief.sum(axis=1, keepdims=True)
        scores = -unary - matrix @ belief @ MATRIX.T
    belief = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert abs(crf.infer(unary, 3) - belief / belief.sum(axis=1, keepdims=True)).max() < 0.02


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_picture_is_the_common_case(backend):
    image, probs = make_picture(40, 50, CLASSES)
    params = CrfParams(4, 20, 10, 3, 2, iterations=5)
    expected = DenseCRF(params, backend)(image, probs).reshape(-1, CLASSES)
    unary = -np.log(np.maximum(probs.reshape(-1, CLASSES), 1e-8))
    both = (bilateral_features(image, 20, 10), position_features(40, 50, 2))
    found = FeatureCRF([PairwiseKernel(both[0], 4), PairwiseKernel(both[1], 3)], backend=backend).infer(unary, 5)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    diagonal = FeatureCRF(
        [PairwiseKernel(both[0], np.full(CLASSES, -4)), PairwiseKernel(both[1], -3 * np.eye(CLASSES))], backend=backend
    )
    np.testing.assert_allclose(diagonal.infer(unary, 5), expected, atol=1e-4)


@native
def test_kernels_that_share_a_matrix_are_added_up_before_it():
    four, one, unary = volume()
    shared = MATRIX.copy()
    ours, twin = (
        FeatureCRF(
            [
                PairwiseKernel(four, shared),
                PairwiseKernel(one, shared),
                PairwiseKernel(four, 2.0),
                PairwiseKernel(one, VECTOR),
                PairwiseKernel(four, shared),
            ],
            backend=backend,
        )
        for backend in ("native", "numpy")
    )
    np.testing.assert_allclose(ours.infer(unary, 5), twin.infer(unary, 5), atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_refuses_bad_input_by_name(backend):
    four, one, unary = volume()
    for cost in (np.ones((2, 3)), np.full(3, np.nan), np.ones((1, 1, 1)), np.zeros(0)):
        with pytest.raises(ValueError, match="compatibility: got shape"):
            PairwiseKernel(four, cost)
    with pytest.raises(ValueError, match="normalization"):
        PairwiseKernel(four, 1, "half")
    for some in ([], [PairwiseKernel(four), PairwiseKernel(one[:-1])]):
        with pytest.raises(ValueError, match="kernels: got"):
            FeatureCRF(some, backend=backend)
    crf = FeatureCRF([PairwiseKernel(four, VECTOR)], backend=backend)
    for bad in (unary[:-1], unary[:, :-1], unary[..., None]):
        with pytest.raises(ValueError, match="unary: got shape"):
            crf.infer(bad, 1)
        with pytest.raises(ValueError, match="beliefs: got shape"):
            crf.step(unary, bad)
    with pytest.raises(ValueError, match="unary: got NaN"):
        crf.start(unary * np.inf)
    with pytest.raises(ValueError, match="iterations"):
        crf.infer(unary, -1)
