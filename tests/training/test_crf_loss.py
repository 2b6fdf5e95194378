"""The CRF loss: its value by definition, its gradient by finite differences, its geometry and its mask."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.layers.resize import resize_align_corners
from deeplab_tf.training.crf_loss import dense_crf_loss
from tests.crf.conftest import make_picture
from tests.oracles.crf import gaussian_matrix


def batch(height=17, width=21, classes=3, pictures=2):
    made = [make_picture(height, width, classes, seed) for seed in range(pictures)]
    images, probs = map(np.stack, zip(*made, strict=True))
    return images, np.log(probs)


def value_and_gradient(logits, images, **options):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = dense_crf_loss(logits, images, **options)
    return float(loss), tape.gradient(loss, logits).numpy()


def test_is_near_its_definition_through_the_exact_kernel():
    images, logits = batch()
    expected = []
    for image, scores in zip(images[:, ::2, ::2], np.exp(logits)[:, ::2, ::2], strict=True):
        y, x = np.mgrid[: image.shape[0], : image.shape[1]] * 2
        features = np.concatenate([np.stack([x, y], axis=-1) / 20, image / 15], axis=-1)
        matrix, probs = gaussian_matrix(features.reshape(-1, 5)), scores.reshape(-1, scores.shape[-1])
        expected.append(1 - np.vdot(probs, matrix @ probs) / matrix.sum())
    found = dense_crf_loss(logits, images, sigma_alpha=20)
    assert float(found) == pytest.approx(np.mean(expected), abs=0.03)  # what the lattice makes of a Gaussian
    assert 0.1 < float(found) < 0.9


def test_gradient_is_the_slope_along_any_direction():
    images, logits = batch()
    _, gradient = value_and_gradient(logits, images)
    direction = np.random.default_rng(3).normal(size=logits.shape).astype(np.float32)
    ahead, behind = (float(dense_crf_loss(logits + step * direction, images)) for step in (3e-2, -3e-2))
    slope = np.vdot(gradient, direction)
    # A value of about 0.5 is rounded by 6e-8: 2e-6 of the slope; the truncation is of the order of the step squared.
    assert slope == pytest.approx((ahead - behind) / 6e-2, rel=5e-3, abs=1e-5)
    assert abs(slope) > 1e-3


def test_descending_it_makes_labels_follow_the_picture():
    images, logits = batch()
    rng = np.random.default_rng(0)
    logits = (logits + rng.normal(size=logits.shape)).astype(np.float32)
    first = start = value_and_gradient(logits, images, stride=1)[0]
    for _ in range(5):
        value, gradient = value_and_gradient(logits, images, stride=1)
        assert value <= first
        first, logits = value, logits - 200 * gradient
    assert first < 0.9 * start


def test_logits_of_a_stride_are_resized():
    images, logits = batch()
    small = np.ascontiguousarray(logits[:, ::4, ::4])
    whole = resize_align_corners(small, images.shape[1:3])
    assert float(dense_crf_loss(small, images)) == pytest.approx(float(dense_crf_loss(whole, images)), rel=1e-6)
    probs = tf.nn.softmax(whole)
    found = dense_crf_loss(probs, images, from_logits=False)
    assert float(found) == pytest.approx(float(dense_crf_loss(whole, images)), rel=1e-5)


def test_a_batch_is_the_mean_of_its_pictures_and_float_pictures_are_as_good():
    images, logits = batch()
    alone = [value_and_gradient(logits[i : i + 1], images[i : i + 1]) for i in range(2)]
    value, gradient = value_and_gradient(logits, images.astype(np.float32))
    assert value == pytest.approx(np.mean([one for one, _ in alone]), rel=1e-6)
    np.testing.assert_allclose(gradient, np.concatenate([one for _, one in alone]) / 2, atol=1e-8)


def test_invalid_pixels_take_no_part():
    images, logits = batch()
    valid = np.ones(images.shape[:3], bool)
    valid[:, 10:] = False
    value, gradient = value_and_gradient(logits, images, valid=valid, stride=1)
    changed = np.where(valid[..., None], logits, logits[::-1, ::-1])
    assert value_and_gradient(changed, images, valid=valid, stride=1)[0] == pytest.approx(value, rel=1e-6)
    assert not gradient[~valid].any() and gradient[valid].any()


def test_compiles_with_known_shapes():
    images, logits = batch()
    traced = tf.function(value_and_gradient_traced)
    value, gradient = traced(tf.constant(logits), tf.constant(images))
    expected = value_and_gradient(logits, images)
    assert float(value) == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-8)


def value_and_gradient_traced(logits, images):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = dense_crf_loss(logits, images)
    assert loss.shape == ()
    return loss, tape.gradient(loss, logits)


def test_refuses_what_is_no_picture():
    images, logits = batch()
    with pytest.raises(ValueError, match="width, 3"):
        dense_crf_loss(logits, images[..., 0])
    with pytest.raises(ValueError, match="stride 0"):
        dense_crf_loss(logits, images, stride=0)
