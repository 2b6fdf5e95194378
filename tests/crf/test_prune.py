"""Labels that cannot win are left out of the filtering: what that may change, and when it must not happen."""

import dataclasses

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DEFAULT_PRUNE, DenseCRF, has_native
from deeplab_tf.crf.feature_crf import FeatureCRF, PairwiseKernel
from deeplab_tf.crf.mean_field import bilateral_features, position_features
from deeplab_tf.crf.params import NORMALIZATIONS, CrfParams
from tests.crf.conftest import make_picture

pytestmark = pytest.mark.skipif(not has_native(), reason="the compiled engine is not built")
PARAMS = CrfParams(w1=4, sigma_alpha=20, sigma_beta=10, w2=3, sigma_gamma=2, iterations=5)


def with_faint_classes(height=40, width=50, strong=5, faint=20, peak=1e-4, seed=0):
    """A picture, and probabilities in which some classes, spread among the others, never rise above `peak`."""
    image, probs = make_picture(height, width, strong, seed=seed)
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, peak, (height, width, faint)).astype(np.float32)
    both = np.concatenate([probs * (1 - low.sum(-1, keepdims=True)), low], axis=-1)
    order = rng.permutation(strong + faint)
    return image, np.ascontiguousarray(both[..., order]), np.flatnonzero(order < strong)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("normalization", ["symmetric", "after", "before"])
def test_faint_labels_change_nothing_(normalization, threads):
    image, probs, _ = with_faint_classes()
    params = dataclasses.replace(PARAMS, normalization=normalization)
    full = DenseCRF(params, "native", threads, prune=0)(image, probs)
    found = DenseCRF(params, "native", threads)(image, probs)
    assert abs(found - full).max() < 1e-4
    np.testing.assert_array_equal(found.argmax(-1), full.argmax(-1))
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_unaries_and_probabilities_are_pruned_alike():
    image, probs, _ = with_faint_classes(seed=1)
    unary = -np.log(np.maximum(probs, 1e-8))
    crf, full = DenseCRF(PARAMS, "native"), DenseCRF(PARAMS, "native", prune=0)
    for shift in (0, 300, -300):
        np.testing.assert_allclose(crf.from_unary(image, unary + shift), crf(image, probs), atol=2e-4)
        np.testing.assert_allclose(full.from_unary(image, unary + shift), full(image, probs), atol=2e-4)
    kernels = [
        PairwiseKernel(bilateral_features(image, 20, 10), 4),
        PairwiseKernel(position_features(40, 50, 2), np.full(25, -3)),
    ]
    found = FeatureCRF(kernels).infer(unary.reshape(-1, 25), 5)
    np.testing.assert_allclose(found, crf(image, probs).reshape(-1, 25), atol=1e-4)


@pytest.mark.parametrize("classes", [21, 81, 300])
def test_labels_with_the_rest_spread_evenly_stay_right(classes):
    """As annotators give them: 0.7 on a pixel's label, what is left even over the others, some of them nowhere named."""
    image, probs = make_picture(40, 50, classes, seed=3)
    labels = np.minimum(probs.argmax(-1), classes // 2)
    unary = np.full((40, 50, classes), 0.3 / (classes - 1), np.float32)
    np.put_along_axis(unary, labels[..., None], 0.7, axis=-1)
    full, found = (DenseCRF(PARAMS, "native", prune=prune)(image, unary) for prune in (0, DEFAULT_PRUNE))
    np.testing.assert_array_equal(found.argmax(-1), full.argmax(-1))
    assert abs(found - full).max() < 5e-3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_one_iteration_moves_no_more_than_allowed(normalization, seed):
    """Peaks spread over all sizes, and left-out labels that gather in one corner, where their messages are largest."""
    rng = np.random.default_rng(seed)
    image, probs = make_picture(30, 40, 4, seed=seed)
    image[:15, :20] = image[0, 0]
    peaks = 10.0 ** rng.uniform(-5, -1.5, 28)
    low = np.zeros((30, 40, 28), np.float32)
    low[:15, :20] = peaks
    both = np.concatenate([probs * (1 - low.sum(-1, keepdims=True)), low], axis=-1)
    params = dataclasses.replace(PARAMS, iterations=1, normalization=normalization)
    full = DenseCRF(params, "native", prune=0)(image, both)
    for prune in (1e-5, 1e-4, 1e-3, 1e-2, 0.1):
        assert abs(DenseCRF(params, "native", prune=prune)(image, both) - full).max() <= prune + 1e-6
    changed = abs(DenseCRF(params, "native", prune=0.1)(image, both) - full).max()
    assert changed > 1e-6 or normalization == "none"  # some are left out, but where messages have no bound


def test_a_matrix_and_few_classes_filter_everything():
    image, probs, _ = with_faint_classes()
    matrix = 1 - np.eye(25)
    found = [DenseCRF(PARAMS, "native", compatibility=matrix, prune=prune)(image, probs) for prune in (0, 1)]
    np.testing.assert_array_equal(*found)
    few = [DenseCRF(PARAMS, "native", prune=prune)(image, probs[..., :8]) for prune in (0, 1)]
    np.testing.assert_array_equal(*few)


def test_traces_of_left_out_labels_are_their_unaries():
    image, probs, strong = with_faint_classes(peak=1e-3)
    found, trace = DenseCRF(PARAMS, "native")(image, probs, iterations_trace=True)
    np.testing.assert_array_equal(found, trace.beliefs[-1])
    unaries = np.log(np.maximum(probs, 1e-8))
    np.testing.assert_allclose(trace.scores[0], unaries, atol=1e-5)
    still = [label for label in range(25) if np.allclose(trace.scores[-1, ..., label], unaries[..., label], atol=1e-5)]
    assert len(still) == 17 and not set(still) & set(strong)


def test_refuses_probabilities_that_are_none_and_bad_values_of_prune():
    image, probs, _ = with_faint_classes()
    for bad in (np.nan, -0.1, 1.5):
        probs[3, 7, 24] = bad
        with pytest.raises(ValueError, match="probs: got values"):
            DenseCRF(PARAMS, "native")(image, probs)
    for prune in (-1, 2, np.nan, "much", None, True):
        with pytest.raises(ValueError, match="prune: got"):
            DenseCRF(PARAMS, prune=prune)
