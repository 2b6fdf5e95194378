"""The CRF layer: DenseCRF's beliefs, exact gradients in Keras, training, saving."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.models.mean_field_crf import MeanFieldCRF
from tests.crf.conftest import make_picture

PARAMS = CrfParams(w1=2, sigma_alpha=15, sigma_beta=12, w2=1.5, sigma_gamma=2, iterations=4, normalization="after")
CLASSES = 4


def batch(height=13, width=18, pictures=2):
    """uint8 [pictures, height, width, 3] and log-probabilities of the same size."""
    made = [make_picture(height, width, CLASSES, seed) for seed in range(pictures)]
    images, probs = map(np.stack, zip(*made, strict=True))
    return images, np.log(probs)


def made_asymmetric(layer, logits):
    """The layer built, with a compatibility that tells rows from columns."""
    layer.build((None, None, None, 3), logits.shape)
    layer.compatibility.assign(np.random.default_rng(1).normal(size=(CLASSES, CLASSES)))
    return layer


@pytest.mark.parametrize("normalization", ["symmetric", "after"])
def test_beliefs_are_those_of_dense_crf(normalization):
    images, logits = batch()
    params = dataclasses.replace(PARAMS, normalization=normalization)
    layer = made_asymmetric(MeanFieldCRF(params), logits)
    crf = DenseCRF(params, compatibility=layer.compatibility.numpy())
    expected = [crf(image, probs) for image, probs in zip(images, np.exp(logits), strict=True)]
    np.testing.assert_allclose(tf.nn.softmax(layer(images, logits)), expected, atol=1e-4)


def test_starts_as_potts():
    images, logits = batch(pictures=1)
    expected = DenseCRF(PARAMS)(images[0], np.exp(logits[0]))
    np.testing.assert_allclose(tf.nn.softmax(MeanFieldCRF(PARAMS)(images, logits))[0], expected, atol=1e-4)


def test_hands_its_weights_on():
    images, logits = batch(pictures=1)
    layer = made_asymmetric(MeanFieldCRF(PARAMS), logits)
    layer.w1.assign(1.25)
    crf = layer.dense_crf()
    assert crf.params == dataclasses.replace(PARAMS, w1=1.25)
    np.testing.assert_allclose(tf.nn.softmax(layer(images, logits))[0], crf(images[0], np.exp(logits[0])), atol=1e-4)
    assert layer.dense_crf(iterations=10).params.iterations == 10


def gradients(layer, images, logits, incoming):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(layer(images, logits) * incoming)
    sources = [logits, *(variable.value for variable in layer.trainable_variables)]
    return [one.numpy() for one in tape.gradient(total, sources)]


@pytest.fixture(scope="module")
def example():
    images, logits = batch()
    incoming = np.random.default_rng(2).normal(size=logits.shape).astype(np.float32)
    layer = made_asymmetric(MeanFieldCRF(PARAMS), logits)
    return layer, images, logits, incoming, gradients(layer, images, logits, incoming)


def test_keras_finds_the_slope_along_any_direction(example):
    layer, images, logits, incoming, found = example
    directions = [np.random.default_rng(3).normal(size=one.shape).astype(np.float32) for one in found]
    start = [variable.numpy() for variable in layer.trainable_variables]

    def along(t):
        for variable, value, direction in zip(layer.trainable_variables, start, directions[1:], strict=True):
            variable.assign(value + t * direction)
        return np.vdot(incoming.astype(np.float64), layer(images, logits + np.float32(t) * directions[0]))

    expected = (8 * (along(5e-3) - along(-5e-3)) - along(1e-2) + along(-1e-2)) / 6e-2
    along(0)
    slope = sum(np.vdot(one, direction) for one, direction in zip(found, directions, strict=True))
    # 1,900 scores of about 4, each off by some 1e-6, add up to 2e-4; over the step of 5e-3 that is 0.04.
    assert slope == pytest.approx(expected, abs=0.1)
    assert abs(expected) > 10


def test_a_batch_is_its_pictures_one_by_one(example):
    layer, images, logits, incoming, found = example
    alone = [gradients(layer, images[i : i + 1], logits[i : i + 1], incoming[i : i + 1]) for i in range(len(images))]
    np.testing.assert_allclose(found[0], np.concatenate([one[0] for one in alone]), atol=1e-5)
    for together, *parts in zip(found[1:], *(one[1:] for one in alone), strict=True):
        np.testing.assert_allclose(together, sum(parts), rtol=1e-4, atol=1e-3)


def test_permuted_classes_are_permuted_results(example):
    layer, images, logits, incoming, found = example
    order = np.array([2, 0, 3, 1])
    other = made_asymmetric(MeanFieldCRF(PARAMS), logits)
    other.compatibility.assign(layer.compatibility.numpy()[order][:, order])
    scores = layer(images, logits).numpy()
    np.testing.assert_allclose(other(images, logits[..., order]), scores[..., order], atol=1e-4)
    permuted = gradients(other, images, logits[..., order], incoming[..., order])
    expected = [found[0][..., order], *found[1:3], found[3][order][:, order]]
    for one, two in zip(permuted, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)


def test_pictures_are_not_confused_with_those_of_the_call_before(example):
    layer, images, logits, incoming, found = example
    with tf.GradientTape() as tape:
        scores = layer(images, logits)
        layer(images[::-1].copy(), logits)  # its filters take the place of the first call's
        total = tf.reduce_sum(scores * incoming)
    np.testing.assert_allclose(tape.gradient(total, layer.w1.value), found[1], rtol=1e-5)


def test_shapes_stay_known_and_computation_is_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        images, logits = keras.Input((13, 18, 3), dtype="uint8"), keras.Input((13, 18, CLASSES), dtype="bfloat16")
        model = keras.Model([images, logits], MeanFieldCRF(PARAMS)(images, logits))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.shape == (None, 13, 18, CLASSES) and model.output.dtype == "float32"
    pictures, scores = map(tf.constant, batch())
    low = tf.cast(scores, tf.bfloat16)
    expected = MeanFieldCRF(PARAMS)(pictures, tf.cast(low, tf.float32))
    np.testing.assert_array_equal(model([pictures, low]), expected)
    traced = tf.function(lambda *inputs: model(list(inputs))).get_concrete_function(
        tf.TensorSpec((2, 13, 18, 3), tf.uint8), tf.TensorSpec((2, 13, 18, CLASSES), tf.bfloat16)
    )
    assert traced.output_shapes == (2, 13, 18, CLASSES)


def small_network():
    picture = keras.Input((16, 16, 3))
    shaded = keras.layers.Rescaling(1 / 128, -1)(picture)
    logits = keras.layers.Conv2D(CLASSES, 1, kernel_initializer=keras.initializers.RandomNormal(0, 0.1, seed=0))(shaded)
    return keras.Model(picture, MeanFieldCRF(CrfParams(w1=0.1, w2=0.1, iterations=3), threads=1, name="crf")(picture, logits))


def test_fit_trains_the_layer_and_what_is_before_it(tmp_path):
    images = np.stack([make_picture(16, 16, CLASSES, seed)[0] for seed in range(4)]).astype(np.float32)
    labels = np.stack([make_picture(16, 16, CLASSES, seed)[1].argmax(axis=-1) for seed in range(4)])
    model = small_network()
    before = [weight.numpy() for weight in model.weights]
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(images, labels, batch_size=2, epochs=6, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]
    assert all((weight.numpy() != old).any() for weight, old in zip(model.weights, before, strict=True))
    path, expected = tmp_path / "model.keras", tmp_path / "expected.npy"
    model.save(path)
    np.save(expected, model(images))
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, keras, numpy as np, deeplab_tf.models.mean_field_crf\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "np.testing.assert_allclose(model(np.load(sys.argv[3])), np.load(sys.argv[2]), atol=1e-4)\n"
        "assert model.get_layer('crf').dense_crf().params.w1 != 0.1\n"
    )
    subprocess.run([sys.executable, "-c", code, path, expected, tmp_path / "images.npy"], check=True)


def test_weights_stay_at_zero_or_above():
    images, logits = batch(pictures=1)
    layer = MeanFieldCRF(CrfParams(w1=0.1, w2=0.1, iterations=1))
    layer.build(images.shape, logits.shape)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(layer.trainable_variables)
    optimizer.apply([tf.ones_like(variable) for variable in layer.trainable_variables])
    assert layer.w1 == layer.w2 == 0


def test_refusals_say_what_to_do():
    images, logits = batch()
    with pytest.raises(ValueError, match="expected CrfParams"):
        MeanFieldCRF({"w1": 3})
    with pytest.raises(ValueError, match="resize_align_corners"):
        MeanFieldCRF(PARAMS)(images, logits[:, ::2])
    with pytest.raises(ValueError, match="width, 3"):
        MeanFieldCRF(PARAMS)(images[..., :1], logits)
    with pytest.raises(ValueError, match="backend: got 'gpu'"):
        MeanFieldCRF(PARAMS, backend="gpu")
