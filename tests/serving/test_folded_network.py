"""The folded network computes the same bits, and the network that it came from stays as it is."""

import numpy as np
import pytest

from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.layers.conv_batch_norm import ConvBatchNorm
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.serving.folded_network import folded_network


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_same_bits_without_batch_norms(precision):
    network, random = build_model("resnet50_aspp", 4, width=0.05, precision=precision, seed=0), np.random.default_rng(0)
    for weight in network.weights:
        if weight.path.endswith(("gamma", "beta", "moving_mean", "moving_variance")):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    before, image = network.get_weights(), random.integers(0, 256, (2, 65, 49, 3), np.uint8)
    twin = folded_network(network)
    assert np.array_equal(Predictor(twin).run(image), Predictor(network).run(image))
    assert not any(isinstance(layer, ConvBatchNorm) or "bn" in layer.name for layer in twin.layers)
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert twin.count_params() < network.count_params()  # nothing of the batch norms is carried along
    assert all(len(layer._inbound_nodes) == 1 for layer in network.layers)


def test_a_network_without_batch_norms_is_itself():
    network = build_model("vgg16_largefov", 3, width=0.02)
    assert folded_network(network) is network
