"""The adjoints against finite differences: in float64 through exact filters, in float32 through the lattice."""

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.differentiable import build_filters, disagreement, mean_field, mean_field_adjoint
from deeplab_tf.crf.params import CrfParams
from tests.crf.conftest import make_picture
from tests.oracles.crf import exact_mean_field, gaussian_matrix, normalised

PARAMS = CrfParams(w1=1.3, sigma_alpha=4, sigma_beta=30, w2=0.7, sigma_gamma=1.5, iterations=3, normalization="after")


class Exact:
    """The filter of a matrix [pixels, pixels], float64."""

    def __init__(self, matrix):
        self.matrix = matrix

    def __call__(self, values, transpose=False):
        return (self.matrix.T if transpose else self.matrix) @ values


def exact_filters(image, params):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    place = np.stack([x, y], axis=-1).reshape(-1, 2)
    both = np.concatenate([place / params.sigma_alpha, image.reshape(-1, 3) / params.sigma_beta], axis=1)
    features = (both, place / params.sigma_gamma)
    return [Exact(normalised(gaussian_matrix(one), params.normalization)) for one in features]


def case(height=4, width=5, classes=3, seed=0):
    """A picture, logits, weights, a compatibility without symmetry and the gradient that comes in, float64."""
    rng = np.random.default_rng(seed)
    image, probs = make_picture(height, width, classes, seed)
    logits, incoming = np.log(probs.reshape(-1, classes).astype(np.float64)), rng.normal(size=(height * width, classes))
    compatibility = -np.eye(classes) + 0.3 * rng.normal(size=(classes, classes))
    return image, logits, np.array([PARAMS.w1, PARAMS.w2]), compatibility, incoming


def difference(function, values, step):
    """The gradient of a scalar function by central differences, one entry at a time."""
    gradient = np.empty_like(values)
    for index in np.ndindex(values.shape):
        moved = [values.copy(), values.copy()]
        for one, sign in zip(moved, (1, -1), strict=True):
            one[index] += sign * step
        gradient[index] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return gradient


def test_beliefs_are_those_of_the_definition():
    image, logits, weights, compatibility, _ = case()
    probs = np.exp(logits).reshape(*image.shape[:2], -1)
    expected = exact_mean_field(image, probs, PARAMS, compatibility)
    scores, beliefs = mean_field(exact_filters(image, PARAMS), logits, weights, compatibility, PARAMS.iterations)
    found = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-9)
    assert beliefs.shape == (PARAMS.iterations, *logits.shape)


def test_gradients_are_those_of_finite_differences():
    image, *inputs, incoming = case()
    filters = exact_filters(image, PARAMS)  # "after": not symmetric, so that a forgotten transpose shows

    def energy(*inputs):
        return np.vdot(incoming, mean_field(filters, *inputs, PARAMS.iterations)[0])

    _, beliefs = mean_field(filters, *inputs, PARAMS.iterations)
    found = mean_field_adjoint(filters, beliefs, *inputs[1:], incoming)
    for place, gradient in enumerate(found):

        def moved(values, place=place):
            return energy(*inputs[:place], values, *inputs[place + 1 :])

        # step 1e-5: truncation 1e-10, rounding 1e-16 / 1e-5
        np.testing.assert_allclose(gradient, difference(moved, inputs[place], 1e-5), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("normalization", ["symmetric", "before", "after", "none"])
def test_through_the_lattice_the_gradients_are_those_of_its_matrix(normalization):
    image, *inputs, incoming = case(6, 9, 4, seed=1)
    weights = inputs[1] * (0.05 if normalization == "none" else 1)  # else the softmax saturates and nothing is left
    filters = build_filters(image, CrfParams(sigma_alpha=4, sigma_beta=30, normalization=normalization))
    matrices = [Exact(one(np.eye(len(inputs[0]), dtype=np.float32)).astype(np.float64)) for one in filters]
    results = []
    for operators, width in ((filters, np.float32), (matrices, np.float64)):
        logits, compatibility, gradient = (one.astype(width) for one in (inputs[0], inputs[2], incoming))
        _, beliefs = mean_field(operators, logits, weights, compatibility, 5)
        results.append(mean_field_adjoint(operators, beliefs, weights, compatibility, gradient))
    assert all(np.abs(one).max() > 1e-2 for one in results[1])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())


def test_in_float32_the_directional_derivative_is_that_of_the_lattice():
    image, *inputs, incoming = case(12, 17, 4, seed=2)
    filters = build_filters(image, PARAMS)
    inputs = [one.astype(np.float32) for one in inputs]
    directions = [np.random.default_rng(3).normal(size=one.shape).astype(np.float32) for one in inputs]

    def along(t):
        moved = [one + np.float32(t) * direction for one, direction in zip(inputs, directions, strict=True)]
        return np.vdot(incoming, mean_field(filters, *moved, 5)[0].astype(np.float64))

    _, beliefs = mean_field(filters, *inputs, 5)
    found = mean_field_adjoint(filters, beliefs, *inputs[1:], incoming.astype(np.float32))
    expected = (8 * (along(5e-3) - along(-5e-3)) - along(1e-2) + along(-1e-2)) / 6e-2  # truncation of the fourth order
    slope = sum(np.vdot(one, direction) for one, direction in zip(found, directions, strict=True))
    # 800 scores of about 3, each off by some 1e-6, add up to 1e-4; over the step of 5e-3 that is 0.02.
    assert slope == pytest.approx(expected, abs=0.05)
    assert abs(expected) > 5


def test_equals_dense_crf():
    image, probs = make_picture(21, 26, 5)
    params = CrfParams(w1=3, sigma_alpha=20, sigma_beta=10, iterations=5)
    compatibility = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    logits = np.log(probs).reshape(-1, 5)
    scores, _ = mean_field(build_filters(image, params), logits, (params.w1, params.w2), compatibility, 5)
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected = DenseCRF(params, compatibility=compatibility)(image, probs)
    np.testing.assert_allclose((found / found.sum(axis=1, keepdims=True)).reshape(probs.shape), expected, atol=1e-4)


def test_no_iteration_is_the_identity():
    image, logits, weights, compatibility, incoming = case()
    filters = exact_filters(image, PARAMS)
    scores, beliefs = mean_field(filters, logits, weights, compatibility, 0)
    found = mean_field_adjoint(filters, beliefs, weights, compatibility, incoming)
    np.testing.assert_array_equal(scores, logits)
    np.testing.assert_array_equal(found.logits, incoming)
    assert not found.weights.any() and not found.compatibility.any()


def pairs_by_definition(matrix, probs, valid):
    """The share of pairs (i, j), drawn by their affinity, whose labels, drawn by `probs`, differ."""
    differ = total = 0.0
    for i, one in enumerate(probs):
        for j, other in enumerate(probs):
            affinity = valid[i] * valid[j] * matrix[i, j]
            total += affinity
            differ += affinity * (1 - one @ other)
    return differ / total


def test_disagreement_is_its_definition_with_the_gradient_of_finite_differences():
    image, logits, *_ = case()
    probs, valid = np.exp(logits), np.random.default_rng(5).integers(0, 2, len(logits)).astype(np.float64)
    kernel = exact_filters(image, PARAMS)[0]
    found, gradient = disagreement(kernel, probs, valid)
    assert found == pytest.approx(pairs_by_definition(kernel.matrix, probs, valid))
    assert 0.05 < found < 0.95
    expected = difference(lambda probs: disagreement(kernel, probs, valid)[0], probs, 1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


def test_disagreement_through_the_lattice_is_that_of_its_matrix():
    image, probs = make_picture(10, 13, 3, seed=4)
    probs, valid = probs.reshape(-1, 3), np.ones(130, np.float32)
    kernel = build_filters(image, CrfParams(sigma_alpha=10, sigma_beta=15, normalization="none"))[0]
    matrix = kernel(np.eye(130, dtype=np.float32)).astype(np.float64)
    found, gradient = disagreement(kernel, probs, valid)
    expected, slope = disagreement(Exact(matrix), probs.astype(np.float64), valid)
    assert found == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-4 * np.abs(slope).max())


def test_pixels_that_do_not_count_change_nothing():
    image, probs = make_picture(6, 8, 3, seed=6)
    probs, valid = probs.reshape(-1, 3).astype(np.float64), (np.arange(48) % 5 > 0).astype(np.float64)
    kernel = exact_filters(image, PARAMS)[0]
    value, gradient = disagreement(kernel, probs, valid)
    other = np.where(valid[:, None] > 0, probs, probs[::-1])
    assert disagreement(kernel, other, valid)[0] == value
    assert not gradient[valid == 0].any() and gradient[valid > 0].all()
    assert disagreement(kernel, probs, 0 * valid)[0] == 0
    one_label = np.eye(3)[np.zeros(48, int)]
    assert disagreement(kernel, one_label, valid)[0] == pytest.approx(0, abs=1e-12)
