"""Keras Applications' files: their own nets, run by Keras, give the same features as ours with the file loaded."""

import keras
import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.weights import load_weights
from deeplab_tf.weights.keras_h5 import read_keras_h5
from weights.keras_h5_writer import layers_of, write_keras_h5

MEAN_RGB = np.array([122.675, 116.669, 104.008], np.float32)


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory):
    """Keras' ResNet-50 with random weights, biases and statistics, some variances tiny, and its file."""
    random = np.random.default_rng(0)
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3))
    for weight in model.weights:
        kind = weight.path.split("/")[-1]
        if kind == "kernel":
            deviation = np.sqrt(1 / np.prod(weight.shape[:3])) / (64 if weight.path.startswith("conv1") else 1)
            weight.assign(deviation * random.standard_normal(weight.shape, np.float32))
        elif kind in ("gamma", "moving_variance"):
            value = random.uniform(0.3, 0.6, weight.shape)
            value[3] = 2e-6 if kind == "moving_variance" else 1e-3  # a dying filter, as real nets have them
            weight.assign(value)
        else:
            weight.assign(0.1 * random.standard_normal(weight.shape))
    path = tmp_path_factory.mktemp("keras") / "resnet50_weights.h5"
    write_keras_h5(path, layers_of(model))
    return model, path


def test_resnet50_features_equal_those_of_keras(resnet50_file):
    theirs, path = resnet50_file
    model = build_model("resnet50", output_stride=32)
    report = load_weights(model, path)
    assert [name.split("/")[0] for name in report.reinitialised] == ["fc1_voc12"] * 2
    picture = np.random.default_rng(1).uniform(0, 255, (1, 97, 129, 3)).astype(np.float32)
    features = keras.Model(model.input, model.get_layer("res5c").output)(picture)
    expected = np.asarray(theirs((picture - MEAN_RGB)[..., ::-1]))
    assert expected.std() > 1e-3
    assert np.abs(np.asarray(features) - expected).max() < 1e-4 * expected.std()


def test_names_of_resnet101_follow_the_published_ones():
    from deeplab_tf.weights.names import from_keras

    assert from_keras("conv3_block2_0_conv", True) == "res3b1_branch1"
    assert from_keras("conv4_block23_3_bn", True) == "bn4b22_branch2c"
    assert from_keras("conv4_block6_2_conv", False) == "res4f_branch2b"
    assert from_keras("conv5_block3_1_bn", True) == "bn5c_branch2a"
    assert from_keras("conv1_bn", True) == "bn_conv1"
    theirs = keras.applications.ResNet101(weights=None, include_top=False, input_shape=(None, None, 3))
    ours = build_model("resnet101", width=0.0625)
    named = {from_keras(layer.name, True) for layer in theirs.layers if layer.weights}
    expected = {"/".join(weight.path.split("/")[-2:]).split("/")[0] for weight in ours.weights}
    assert named == {name for name in expected if not name.startswith("fc1")}


def test_vgg16_and_its_classifier(tmp_path):
    random = np.random.default_rng(2)
    sizes = {1: (2, 3, 64), 2: (2, 64, 128), 3: (3, 128, 256), 4: (3, 256, 512), 5: (3, 512, 512)}
    layers = {}
    for block, (count, channels, filters) in sizes.items():
        for i in range(1, count + 1):
            shape = (3, 3, channels if i == 1 else filters, filters)
            layers[f"block{block}_conv{i}"] = {
                f"block{block}_conv{i}_W_1": random.standard_normal(shape, np.float32),
                f"block{block}_conv{i}_b_1": random.standard_normal(filters, np.float32),
            }
    layers["fc1"] = {"fc1_W_1": random.standard_normal((25088, 1024), np.float32), "fc1_b_1": np.arange(1024.0)}
    layers["fc2"] = {"fc2_W_1": random.standard_normal((1024, 1024), np.float32), "fc2_b_1": np.arange(1024.0)}
    layers["predictions"] = {"predictions_W_1": np.zeros((1024, 1000), np.float32), "predictions_b_1": np.zeros(1000)}
    write_keras_h5(tmp_path / "vgg16.h5", layers)
    model = build_model("vgg16_aspp_l")
    report = load_weights(model, tmp_path / "vgg16.h5")
    assert len(report.loaded) == 26 + 16
    assert {name.split("/")[0] for name in report.reinitialised} == {f"fc8_voc12_{i}" for i in (1, 2, 3, 4)}
    assert {"fc8/kernel", "fc8/bias"} <= set(report.skipped)
    kernel = np.asarray(model.get_layer("fc6_2").kernel)
    expected = layers["fc1"]["fc1_W_1"].reshape(7, 7, 512, 1024)[::3, ::3]
    np.testing.assert_array_equal(kernel, expected)
    block = layers["block4_conv2"]["block4_conv2_W_1"]
    np.testing.assert_array_equal(np.asarray(model.get_layer("conv4_2").kernel), block)


def test_chunked_attributes_and_whole_models_read_alike(tmp_path):
    import h5py

    write_keras_h5(tmp_path / "a.h5", {"block1_conv1": {"kernel": np.ones((3, 3, 3, 2)), "bias": np.zeros(2)}})
    with h5py.File(tmp_path / "a.h5") as source, h5py.File(tmp_path / "b.h5", "w") as file:
        source.copy(source["/"], file, name="model_weights")
        attributes = file["model_weights"].attrs
        attributes["layer_names0"], attributes["layer_names1"] = attributes["layer_names"], []
        del attributes["layer_names"]
    for name in ("a.h5", "b.h5"):
        assert list(read_keras_h5(tmp_path / name).tensors) == ["conv1_1/kernel", "conv1_1/bias"]


def test_keras_3_weights_under_the_wrong_suffix_are_named(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save_weights(tmp_path / "a.weights.h5")
    (tmp_path / "a.weights.h5").rename(tmp_path / "a.h5")
    with pytest.raises(UserError, match=r"layer_names.*\.weights\.h5"):
        read_keras_h5(tmp_path / "a.h5")
