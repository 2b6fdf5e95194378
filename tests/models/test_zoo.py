"""Conformance: what every network of the zoo must do."""

import functools

import keras
import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.models.deeplab import build_model, features
from deeplab_tf.models.zoo import PRESETS, get_preset, list_models, scaled_rates

NARROW = 1 / 16


def _picture(height=49, width=73, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, height, width, 3)).astype(np.float32)


FAMILIES = ("vgg16_aspp_s", "resnet50_aspp")  # one of each backbone and head, where the whole zoo would tell no more


@functools.cache
def _narrow(name):
    return build_model(name, 5, width=NARROW)


def test_the_zoo_holds_the_papers_networks():
    assert set(list_models()) >= {
        "vgg16_fc6_7x7_r4",
        "vgg16_fc6_4x4_r4",
        "vgg16_fc6_4x4_r8",
        "vgg16_largefov",
        "vgg16_aspp_s",
        "vgg16_aspp_l",
        "resnet101",
        "resnet101_largefov",
        "resnet101_aspp",
        "resnet50",
        "resnet50_largefov",
        "resnet50_aspp",
    }


@pytest.mark.parametrize("name", list_models())
def test_every_atrous_method_gives_the_same_logits(name):
    picture = _picture()
    reference = _narrow(name)(picture).numpy()
    assert reference.shape == (1, 7, 10, 5) and reference.dtype == np.float32
    assert reference.std() > 0
    model = build_model(name, 5, width=NARROW, atrous_method="native")
    assert {layer.method for layer in model.layers if hasattr(layer, "method")} == {"native"}
    np.testing.assert_allclose(model(picture), reference, atol=1e-5 * np.abs(reference).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_initial_weights_depend_on_the_seed_alone(name):
    again, other = build_model(name, 5, width=NARROW), build_model(name, 5, width=NARROW, seed=1)
    for ours, same, different in zip(_narrow(name).weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, same)
        if ours.path.endswith("kernel"):
            assert np.abs(ours.numpy() - different.numpy()).max() > 0


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("vgg16_fc6_7x7_r4", 21, 134_346_581),
        ("vgg16_fc6_4x4_r4", 21, 65_140_565),
        ("vgg16_fc6_4x4_r8", 21, 65_140_565),
        ("vgg16_largefov", 21, 20_505_429),
        ("vgg16_largefov", 60, 20_545_404),
        ("vgg16_largefov", 7, 20_491_079),
        ("vgg16_largefov", 19, 20_503_379),
        ("vgg16_aspp_s", 21, 37_877_652),
        ("vgg16_aspp_l", 21, 37_877_652),
    ],
)
def test_parameters_of_vgg16(name, classes, expected, zero_weights):
    assert sum(v.value.shape.num_elements() for v in build_model(name, classes).trainable_variables) == expected


def test_parameters_of_resnet101(zero_weights):
    """Convolutions and head; with gamma and beta; everything: as computed from the published layer lists."""
    model = build_model("resnet101_aspp")
    sizes = {variable.path: variable.value.shape.num_elements() for variable in model.weights}
    conv = sum(size for path, size in sizes.items() if path.endswith(("kernel", "bias")))
    affine = sum(size for path, size in sizes.items() if path.endswith(("gamma", "beta")))
    assert (conv, conv + affine, sum(sizes.values())) == (43_943_188, 44_048_532, 44_153_876)
    assert sum(v.value.shape.num_elements() for v in model.trainable_variables) == conv


@pytest.mark.parametrize(("classes", "expected"), [(60, 4_423_920), (7, 516_124), (19, 1_400_908)])
def test_parameters_of_the_aspp_head(classes, expected):
    """Of the full 2,048 channels; the head's kernels grow with them alone."""
    model = build_model("resnet50_aspp", classes, width=1 / 4)
    kernels = [v.value.shape for v in model.trainable_variables if v.path.startswith("fc1_") and v.path.endswith("kernel")]
    assert [tuple(shape) for shape in kernels] == [(3, 3, 512, classes)] * 4
    assert 4 * (3 * 3 * 2048 * classes + classes) == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_keras_file_round_trip(name, tmp_path):
    model, picture = _narrow(name), _picture(33, 41)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(picture), model(picture))
    assert [v.path for v in loaded.weights] == [v.path for v in model.weights]


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_keeps_float32_weights_and_logits(name):
    model, picture = build_model(name, 5, width=NARROW, precision="mixed_bfloat16"), _picture()
    logits, reference = model(picture).numpy(), _narrow(name)(picture).numpy()
    assert logits.dtype == np.float32
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert np.abs(logits - reference).max() < 0.1 * np.abs(reference).max()


def test_published_names_of_layers():
    vgg, aspp = {v.path for v in _narrow("vgg16_largefov").weights}, {v.path for v in _narrow("vgg16_aspp_s").weights}
    assert {"conv1_1/kernel", "conv5_3/bias", "fc6/kernel", "fc7/bias", "fc8_voc12/kernel"} <= vgg
    assert {f"fc{n}_{i}/kernel" for n in ("6", "7", "8_voc12") for i in range(1, 5)} <= aspp
    resnet = {"/".join(v.path.split("/")[-2:]) for v in _narrow("resnet101_aspp").weights}
    assert {
        "conv1/kernel",
        "bn_conv1/moving_variance",
        "res2a_branch1/kernel",
        "bn2a_branch1/gamma",
        "res3b3_branch2a/kernel",
        "bn4b22_branch2c/beta",
        "res5c_branch2b/kernel",
        "fc1_voc12_c0/kernel",
        "fc1_voc12_c3/bias",
    } <= resnet
    assert "res4f_branch2a/kernel" in {v.path for v in _narrow("resnet50").weights}
    assert "fc1_voc12/kernel" in {v.path for v in _narrow("resnet50").weights}


def test_output_stride_scales_the_head_rates():
    assert scaled_rates((6, 12, 18, 24), 3, 16) == (3, 6, 9, 12)
    assert scaled_rates((12,), 3, 2) == (48,)
    assert scaled_rates((1,), 1, 32) == (1,)


@pytest.mark.parametrize(
    ("name", "stride", "rate"),
    [("resnet50_aspp", 32, "6 into 1.5"), ("vgg16_aspp_s", 16, None), ("vgg16_aspp_s", 32, "2 into 0.5")],
)
def test_fractional_head_rates_are_errors_unless_rates_are_given(name, stride, rate):
    if rate:
        with pytest.raises(UserError, match=f"output_stride {stride} turns the head rate {rate}"):
            build_model(name, 5, width=NARROW, output_stride=stride)
    model = build_model(name, 5, width=NARROW, output_stride=stride, head_rates=(1, 2, 3, 4))
    heads = [layer.rate for layer in model.layers if layer.name.startswith(("fc6", "fc1_"))]
    assert heads == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "resnet18"}, UserError, "model: got 'resnet18', expected one of vgg16_fc6_7x7_r4"),
        ({"output_stride": 3}, ValueError, "output_stride: got 3"),
        ({"num_classes": 0}, ValueError, "num_classes: got 0"),
        ({"head_rates": (1, 2)}, ValueError, "head_rates: got 2, expected 4 for resnet50_aspp"),
        ({"atrous_method": "holes"}, ValueError, "method: got 'holes'"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        build_model(**{"name": "resnet50_aspp", "num_classes": 5, "width": NARROW} | arguments)


def test_presets_are_what_the_paper_says():
    """Table 1's fields of view, 8((k - 1) r + 4), and Table 3's rates."""
    fields = [8 * ((get_preset(n).kernel_size - 1) * get_preset(n).rates[0] + 4) for n in list_models()[:4]]
    assert fields == [224, 128, 224, 224]
    assert PRESETS["vgg16_aspp_s"].rates == (2, 4, 8, 12) and PRESETS["vgg16_aspp_l"].rates == (6, 12, 18, 24)
    assert [PRESETS[n].fc_channels for n in list_models()[:6]] == [4096] * 3 + [1024] * 3


@pytest.mark.parametrize("name, channels", [("vgg16_largefov", 32), ("resnet50_aspp", 128)])
def test_features_are_the_network_without_its_head(name, channels, tmp_path):
    whole, picture = build_model(name, 5, width=NARROW, seed=3), _picture()
    whole.save_weights(tmp_path / "whole.weights.h5")
    trunk = features(name, width=NARROW, weights=tmp_path / "whole.weights.h5")
    assert trunk.output_shape == (None, None, None, channels)
    last = {"vgg16_largefov": "pool5", "resnet50_aspp": "res5c"}[name]
    expected = keras.Model(whole.input, whole.get_layer(last).output)(picture)
    assert np.array_equal(trunk(picture), expected)


def test_a_width_that_leaves_no_filter_is_refused():
    with pytest.raises(ValueError, match="width: got 0.005, expected 0.008 or more"):
        build_model("vgg16_largefov", 5, width=0.005)
    assert features("vgg16_largefov", width=0.008).layers[2].filters == 1
