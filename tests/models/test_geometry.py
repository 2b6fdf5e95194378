"""Caffe's output sizes at every picture size, and where the published nets put their options."""

import functools

import keras
import numpy as np
import pytest

from deeplab_tf.models.deeplab import build_model


def _ceil_halves(n, times):
    for _ in range(times):
        n = -(-(n - 1) // 2) + 1
    return n


@functools.cache
def _model(name):
    return build_model(name, 3, width=1 / 16)


SIZES = [(65, 65), (64, 66), (50, 33), (41, 72), (9, 8), (1, 17)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_vgg16_follows_caffes_ceil_rule(height, width):
    """Three pools of stride 2, each rounding up."""
    logits = _model("vgg16_largefov")(np.zeros((2, height, width, 3), np.float32))
    assert logits.shape == (2, _ceil_halves(height, 3), _ceil_halves(width, 3), 3)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_resnet_follows_caffes_rules(height, width):
    """conv1 rounds down, the pool up, res3a's 1x1 of stride 2 down again."""

    def size(n):
        return (_ceil_halves((n + 6 - 7) // 2 + 1, 1) - 1) // 2 + 1

    logits = _model("resnet50_aspp")(np.zeros((2, height, width, 3), np.float32))
    assert logits.shape == (2, size(height), size(width), 3)


@pytest.mark.parametrize("name", ["vgg16_largefov", "resnet50_aspp"])
@pytest.mark.parametrize(("n", "expected"), [(321, 41), (513, 65)])
def test_golden_sizes(name, n, expected):
    shape = _model(name).compute_output_shape((None, n, n, 3))
    assert tuple(shape) == (None, expected, expected, 3)


def test_a_shift_by_the_stride_shifts_the_logits():
    """In the middle, 17 logits from the border: the network at rate 1 sees 121 pixels to every side."""
    picture = np.random.default_rng(0).uniform(0, 255, (1, 297, 305, 3)).astype(np.float32)
    model = build_model("vgg16_largefov", 3, width=1 / 16, head_rates=(1,))
    logits, shifted = model(picture).numpy(), model(np.roll(picture, 8, axis=2)).numpy()
    middle = slice(17, -17)
    np.testing.assert_allclose(shifted[:, middle, middle], logits[:, middle, 16:-18], atol=1e-5 * np.abs(logits).max())


def test_v1_average_pool_counts_padded_zeros():
    model = build_model("vgg16_largefov", 3, width=1 / 16, v1_average_pool=True)
    names = [layer.name for layer in model.layers]
    assert names.index("pool5") < names.index("pool5a") < names.index("fc6")
    pools = keras.Model(model.input, [model.get_layer("pool5").output, model.get_layer("pool5a").output])
    before, after = (y.numpy() for y in pools(np.random.default_rng(0).uniform(0, 255, (1, 33, 41, 3)).astype(np.float32)))
    padded = np.pad(before, [(0, 0), (1, 1), (1, 1), (0, 0)])
    expected = sum(padded[:, i : i + before.shape[1], j : j + before.shape[2]] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    assert "pool5a" not in {layer.name for layer in _model("vgg16_largefov").layers}


def test_dropout_is_of_training_alone():
    model, picture = build_model("vgg16_largefov", 3, width=1 / 16), np.full((1, 33, 33, 3), 50, np.float32)
    np.testing.assert_array_equal(model(picture), model(picture))
    assert np.abs(model(picture, training=True) - model(picture, training=True)).max() > 0
    assert not any("drop" in layer.name for layer in _model("resnet50_aspp").layers)
