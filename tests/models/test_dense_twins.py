"""Section 3.1's rule: the dense net, sub-sampled, equals the strided one with the same weights, at every output stride."""

import functools

import numpy as np
import pytest

from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.zoo import OUTPUT_STRIDES

HEADS = {"resnet50_aspp": (2, 4, 6, 8), "resnet101": None, "vgg16_largefov": (12,)}  # rates of stride 8, to be scaled by 8


def _build(name, stride, **options):
    """Narrow, with random weights whose statistics are not trivial, the same at every stride."""
    rates = HEADS[name] and tuple(rate * 32 // stride for rate in HEADS[name])
    model = build_model(name, 4, width=1 / 16, output_stride=stride, head_rates=rates, **options)
    random = np.random.default_rng(1)
    for variable in model.weights:
        if not variable.path.endswith(("kernel", "seed_generator_state")):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


@functools.cache
def _strided(name, dilated_pools):
    picture = np.random.default_rng(0).uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    return picture, _logits(name, 32, dilated_pools, picture)


def _logits(name, stride, dilated_pools, picture):
    options = {"dilated_pools": True} if dilated_pools else {}
    return _build(name, stride, **options)(picture).numpy()


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("name", "dilated_pools"), [("resnet50_aspp", False), ("vgg16_largefov", True)])
def test_sub_sampled_dense_net_equals_the_strided_one(name, dilated_pools, stride):
    picture, strided = _strided(name, dilated_pools)
    dense = _logits(name, stride, dilated_pools, picture)
    step = 32 // stride
    assert dense.shape[1:3] == (64 // stride + 1, 96 // stride + 1)
    np.testing.assert_allclose(dense[:, ::step, ::step], strided, atol=2e-5 * np.abs(strided).max())


def test_resnet101_at_the_published_stride():
    picture, strided = _strided("resnet101", False)
    dense = _logits("resnet101", 8, False, picture)
    np.testing.assert_allclose(dense[:, ::4, ::4], strided, atol=2e-5 * np.abs(strided).max())


def test_the_published_vgg16_is_no_exact_twin():
    """Its pools keep their windows undilated when they lose their stride; `dilated_pools` is what makes the twin."""
    picture, strided = _strided("vgg16_largefov", True)
    published = _logits("vgg16_largefov", 8, False, picture)
    assert np.abs(published[:, ::4, ::4] - strided).max() > 1e-3 * np.abs(strided).max()


def test_all_strides_are_offered():
    assert OUTPUT_STRIDES == (1, 2, 4, 8, 16, 32)


@pytest.mark.parametrize(
    ("stride", "rates"), [(32, (1, 1, 1, 1)), (16, (1, 1, 1, 2)), (8, (1, 1, 2, 4)), (4, (1, 2, 4, 8)), (1, (4, 8, 16, 32))]
)
def test_rates_double_where_strides_are_removed(stride, rates):
    """Rates of the 3x3 convolutions of stages 2 to 5; at output stride 8, 2 and 4 in stages 4 and 5."""
    model = build_model("resnet50", 4, width=1 / 16, output_stride=stride)
    assert tuple(model.get_layer(f"res{stage}b_branch2b").rate for stage in (2, 3, 4, 5)) == rates
