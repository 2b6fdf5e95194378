"""Masks as energies, and refined: pydensecrf's formula, labels that keep their ids."""

import numpy as np
import pytest

import deeplab_tf
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.labels import unary_from_labels
from deeplab_tf.crf.params import CrfParams


def slow(labels, certainty, unsure, classes):
    """The definition, pixel by pixel: probabilities."""
    real = [k for k in range(classes) if k != unsure]
    found = np.full((*labels.shape, classes), 1e-8)
    for place, label in np.ndenumerate(labels):
        for k in real:
            if label == unsure:
                found[place][k] = 1 / len(real)
            else:
                found[place][k] = certainty if k == label else (1 - certainty) / (len(real) - 1)
    return found


@pytest.mark.parametrize(("unsure", "classes"), [(None, 5), (255, 5), (0, 5), (3, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_is_the_definition(unsure, classes, dtype):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, (4, 7))
    if unsure == 255:
        labels[rng.random((4, 7)) < 0.3] = 255
    unary = unary_from_labels(labels.astype(dtype), 0.8, unsure, classes)
    assert unary.dtype == np.float32 and unary.shape == (4, 7, classes)
    np.testing.assert_allclose(np.exp(-unary), slow(labels, 0.8, unsure, classes), rtol=1e-5)


def test_the_highest_id_tells_the_classes():
    assert unary_from_labels(np.array([[0, 4]])).shape == (1, 2, 5)
    assert unary_from_labels(np.array([[0, 4, 255]]), unsure=255).shape == (1, 3, 5)
    assert (unary_from_labels(np.zeros((2, 2), int)) == 0).all()


@pytest.mark.parametrize("zero_unsure", [True, False])
def test_is_pydensecrf(zero_unsure):
    utils = pytest.importorskip("pydensecrf.utils")
    labels = np.random.default_rng(0).integers(0, 6, (5, 8))
    expected = utils.unary_from_labels(labels, 5 if zero_unsure else 6, 0.7, zero_unsure)
    found = unary_from_labels(labels, unsure=0 if zero_unsure else None)[..., zero_unsure:]
    np.testing.assert_allclose(found.reshape(40, -1).T, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "arguments", "message"),
    [
        (np.zeros((2, 2)), {}, "float64, expected integer ids"),
        (np.zeros(4, int), {}, r"shape \[4\]"),
        (np.zeros((2, 2, 1), int), {}, r"shape \[2, 2, 1\]"),
        (np.array([[0, 5]]), {"num_classes": 5}, "got the id 5, expected 0..4"),
        (np.array([[0, 254]]), {"num_classes": 5, "unsure": 255}, r"got the id 254, expected 0..4 or 255 \(unsure\)"),
        (np.array([[-1, 0]]), {}, "got the id -1"),
        (np.array([[0, 255]]), {}, "unsure=255"),
        (np.array([[0, 1]]), {"certainty": 1.0}, "certainty"),
        (np.array([[0, 1]]), {"certainty": 0}, "certainty"),
        (np.array([[0, 1]]), {"num_classes": 0}, "num_classes"),
        (np.array([[0, 0]]), {"unsure": 0}, "no class but unsure"),
    ],
)
def test_refuses(labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        unary_from_labels(labels, **arguments)


def test_a_mask_is_refined_with_its_ids():
    rng = np.random.default_rng(1)
    truth = np.full((40, 60), 2, np.uint8)
    truth[8:30, 10:45] = 5
    image = np.where(truth[..., None] == 5, (200, 40, 30), (20, 90, 160)) + rng.normal(scale=3, size=(40, 60, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    labels = np.roll(truth, (3, -4), axis=(0, 1))
    labels[rng.random(labels.shape) < 0.2] = 255
    params = CrfParams(w1=10, sigma_alpha=20, sigma_beta=13, w2=3, sigma_gamma=3)
    beliefs = deeplab_tf.DenseCRF.from_labels(image, labels, unsure=255, params=params)
    assert beliefs.shape == (40, 60, 6) and beliefs.dtype == np.float32
    np.testing.assert_allclose(beliefs.sum(axis=-1), 1, rtol=1e-5)
    assert (beliefs.argmax(axis=-1) == truth).mean() > 0.99 > 0.9 > (labels == truth).mean()
    unary = unary_from_labels(labels, 0.7, 255)
    np.testing.assert_array_equal(beliefs, DenseCRF(params).from_unary(image, unary))
    assert deeplab_tf.DenseCRF.from_labels(image, labels, unsure=255, num_classes=9, threads=1).shape == (40, 60, 9)
