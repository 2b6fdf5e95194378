"""MSC against a composition in NumPy, its published geometry and its four training outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import atrous as oracle

from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.published import MEAN_RGB


@pytest.fixture(scope="module")
def network():
    return build_model("vgg16_largefov", 3, width=1 / 16)


def _picture(height=65, width=97):
    return np.random.default_rng(0).uniform(0, 255, (1, height, width, 3)).astype(np.float32)


def _resized_after_the_mean(picture, size):
    """The published order: the mean-subtracted picture is resized; the mean is added back for our in-model one."""
    return oracle.resize_align_corners(picture - np.float32(MEAN_RGB), size).astype(np.float32) + np.float32(MEAN_RGB)


def test_equals_a_composition_in_numpy(network):
    picture = _picture()
    full = network(picture).numpy()
    three_quarters = network(_resized_after_the_mean(picture, (49, 73))).numpy()
    half = network(_resized_after_the_mean(picture, (33, 49))).numpy()
    fused = np.maximum(full, np.maximum(*(oracle.resize_align_corners(y, full.shape[1:3]) for y in (three_quarters, half))))
    outputs = MultiScale(network)(picture, return_all=True)
    assert len(outputs) == 4
    for ours, expected in zip(outputs, (half, three_quarters, full, fused), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(full).max())
    np.testing.assert_array_equal(MultiScale(network)(picture), outputs[-1])


def test_published_sizes(network):
    """321 -> 161, 241, 321 -> 21, 31, 41; every scale's own logits, then the fused ones at the size of scale 1."""
    outputs = MultiScale(network)(np.zeros((1, 321, 321, 3), np.float32), return_all=True)
    assert [y.shape[1] for y in outputs] == [21, 31, 41, 41]


def test_scales_keep_their_order(network):
    outputs = MultiScale(network, (1.0, 0.5))(_picture(), return_all=True)
    assert [y.shape[1:3].as_list() for y in outputs] == [[9, 13], [5, 7], [9, 13]]


def test_one_scale_is_the_network(network):
    np.testing.assert_array_equal(MultiScale(network, (1.0,))(_picture()), network(_picture()))


def test_shares_its_weights(network):
    multi = MultiScale(network)
    multi(_picture())
    assert [id(v) for v in multi.weights] == [id(v) for v in network.weights]
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(y**2) for y in multi(_picture(), training=True, return_all=True)])
    assert all(g is not None for g in tape.gradient(loss, [v.value for v in multi.trainable_variables]))


def test_runs_at_any_size_inside_a_graph(network):
    run = tf.function(MultiScale(network), input_signature=[tf.TensorSpec([None, None, None, 3])])
    for height, width in ((65, 33), (64, 50)):
        picture = _picture(height, width)
        assert run(picture).shape == network(picture).shape
        np.testing.assert_allclose(run(picture), MultiScale(network)(picture), atol=1e-4)


def test_keras_file_round_trip(tmp_path):
    multi = MultiScale(build_model("resnet50_aspp", 3, width=1 / 16), scales=(0.5, 1.0), name="mine", trainable=False)
    expected = multi(_picture())
    multi.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.scales, loaded.name, loaded.trainable) == ((0.5, 1.0), "mine", False)
    np.testing.assert_array_equal(loaded(_picture()), expected)


def test_a_config_of_network_and_scales_alone_is_read(network):
    """As older files hold."""
    config = MultiScale(network, (0.5, 1.0)).get_config()
    assert MultiScale.from_config({name: config[name] for name in ("network", "scales")}).scales == (0.5, 1.0)


@pytest.mark.parametrize("scales", [(), (0.5, 0.75), (0.0, 1.0), (-1.0,)])
def test_wrong_scales_are_named(network, scales):
    with pytest.raises(ValueError, match="MultiScale scales: got"):
        MultiScale(network, scales)
