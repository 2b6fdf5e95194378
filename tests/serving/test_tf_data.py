"""A tf.data of pictures through a network and the CRF, against `segment` picture by picture."""

import numpy as np
import pytest
import tensorflow as tf

import deeplab_tf as dl
from deeplab_tf.inference.segment import segment_batch
from deeplab_tf.serving import map_pictures
from deeplab_tf.serving.tf_data import crf_op

SIZES = ((33, 41), (40, 25), (33, 41))


@pytest.fixture
def pictures(picture):
    return [picture(*size, seed) for seed, size in enumerate(SIZES)]


def dataset_of(pictures):
    return tf.data.Dataset.from_generator(lambda: iter(pictures), output_signature=tf.TensorSpec([None, None, 3], tf.uint8))


@pytest.mark.parametrize("flip", [False, True])
def test_it_is_segment_with_the_crf_behind_it(make_model, pictures, flip):
    model, crf = make_model(), dl.DenseCRF(dl.CrfParams(iterations=3), threads=1)
    found = list(map_pictures(dataset_of(pictures), model, flip=flip, crf=crf, probabilities=True).as_numpy_iterator())
    wanted = [dl.segment(model, image, flip=flip, crf=crf) for image in pictures]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    labels = list(map_pictures(dataset_of(pictures), model, flip=flip, crf=crf).as_numpy_iterator())
    assert all(one.dtype == np.uint8 and (one == other.argmax(-1)).all() for one, other in zip(labels, found, strict=True))


def test_the_crf_keeps_its_shape_in_a_graph(picture):
    crf = dl.DenseCRF(dl.CrfParams(iterations=2), threads=1)
    image = picture(9, 7)
    probs = np.random.default_rng(0).dirichlet(np.ones(4), (9, 7)).astype(np.float32)
    graph = tf.function(crf_op(crf))
    assert graph.get_concrete_function(image, probs).structured_outputs.shape == (9, 7, 4)
    np.testing.assert_array_equal(graph(image, probs).numpy(), crf(image, probs))


def test_other_elements_than_pictures_are_refused(make_model, pictures):
    for wrong in (dataset_of(pictures).batch(1), dataset_of(pictures).map(lambda one: tf.cast(one, tf.float32)),
                  dataset_of(pictures).map(lambda one: (one, one))):  # fmt: skip
        with pytest.raises(ValueError, match="expected pictures alone"):
            map_pictures(wrong, make_model())


@pytest.mark.parametrize("limits", [{}, {"tile": 25}])
def test_a_batch_is_its_pictures(make_model, picture, limits):
    model = make_model()
    images = np.stack([picture(33, 41, seed) for seed in range(3)])
    found = segment_batch(model, images, flip=True, **limits)
    wanted = np.stack([dl.segment(model, image, flip=True, **limits) for image in images])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
