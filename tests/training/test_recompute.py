"""Check-pointing changes memory and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.losses import multi_scale_losses
from deeplab_tf.training.recompute import RecomputedNetwork, recomputed
from deeplab_tf.training.step import model_outputs

SIZE = 65


def batch(size=2, seed=0):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 255, (size, SIZE, SIZE, 3)).astype(np.float32)
    return tf.constant(images), tf.constant(random.integers(0, 3, (size, SIZE, SIZE)).astype(np.int32))


def gradients(model, variables, images, labels):
    """As a step takes them: explicit variables, compiled."""

    @tf.function
    def run(images, labels):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            losses = multi_scale_losses(labels, *model_outputs(model, images))
            total = tf.add_n(losses)
        return losses, tape.gradient(total, [v.value for v in variables])

    return run(images, labels)


def assert_same(ours, plain, tolerance=1e-6):
    for a, b in zip(ours, plain, strict=True):
        assert np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


def without_dropout(network):
    """Two calls would draw two masks."""
    for layer in network.layers:
        if layer.name.startswith("drop"):
            layer.rate = 0.0
    return network


@pytest.mark.parametrize(
    ("name", "scales"), [("vgg16_aspp_s", (1.0,)), ("resnet50_aspp", (1.0,)), ("vgg16_largefov", (0.5, 0.75, 1.0))]
)
def test_losses_and_gradients_are_the_same(name, scales):
    network = without_dropout(build_model(name, 3, width=1 / 16, seed=1))
    model = MultiScale(network, scales) if len(scales) > 1 else network
    variables, (images, labels) = model.trainable_variables, batch()
    losses, plain = gradients(model, variables, images, labels)
    losses_again, ours = gradients(recomputed(model), variables, images, labels)
    assert_same(losses_again, losses)
    assert_same(ours, plain)


def test_inside_a_loop_as_iter_size_runs_it():
    network = without_dropout(build_model("vgg16_largefov", 3, width=1 / 16, seed=1))
    stand_in, variables, (images, labels) = RecomputedNetwork(network), network.trainable_variables, batch()

    @tf.function
    def looped():
        def add(i, *sums):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([v.value for v in variables])
                (loss,) = multi_scale_losses(labels[i : i + 1], *model_outputs(stand_in, images[i : i + 1]))
            found = tape.gradient(loss, [v.value for v in variables])
            return i + 1, *(a + b for a, b in zip(sums, found, strict=True))

        start = [tf.constant(0), *(tf.zeros(v.shape) for v in variables)]
        return tf.while_loop(lambda i, *_: i < 2, add, start, parallel_iterations=1)[1:]

    parts = [gradients(network, variables, images[i : i + 1], labels[i : i + 1])[1] for i in range(2)]
    assert_same(looped(), [a + b for a, b in zip(*parts, strict=True)])


def test_grown_gammas_train_and_bfloat16_runs():
    network = build_model("resnet50", 3, width=1 / 16, precision="mixed_bfloat16", seed=1)
    gamma = network.get_layer("res4b_branch2c").statistics.gamma
    gamma.trainable = True
    variables = network.trainable_variables
    assert gamma.path in [v.path for v in variables]
    _, plain = gradients(network, variables, *batch())
    _, ours = gradients(recomputed(network), variables, *batch())
    assert {g.dtype for g in ours} == {tf.float32}
    assert_same(ours, plain)


def test_unfrozen_statistics_move_once():
    plain, again = (build_model("resnet50", 3, width=1 / 16, frozen_batch_norm=False, seed=1) for _ in range(2))
    gradients(plain, plain.trainable_variables, *batch(16))
    gradients(recomputed(again), again.trainable_variables, *batch(16))
    start = build_model("resnet50", 3, width=1 / 16, frozen_batch_norm=False, seed=1)
    assert_same([v.numpy() for v in again.non_trainable_variables], [v.numpy() for v in plain.non_trainable_variables])
    assert any(
        np.abs(a.numpy() - b.numpy()).max() > 0
        for a, b in zip(start.non_trainable_variables, again.non_trainable_variables, strict=True)
    )


def test_the_head_is_left_out_and_the_network_unchanged():
    network = build_model("vgg16_largefov", 3, width=1 / 16)
    paths = [v.path for v in network.variables]
    stand_in = RecomputedNetwork(network)
    assert stand_in.boundaries[-1] == "pool5" and set(stand_in.boundaries) <= {f"pool{i}" for i in range(1, 6)}
    assert [v.path for v in network.variables] == paths
    images, _ = batch()
    np.testing.assert_array_equal(stand_in(images), network(images))


def test_activations_are_counted_by_hand():
    from deeplab_tf.training.recompute import activations

    network = build_model("resnet50", 3, width=1 / 16)
    kept = {layer.name: bytes_kept for layer, bytes_kept, _ in activations(network, 65)}
    assert kept["conv1"] == 4 * 33 * 33 * 4 and kept["pool1"] == 4 * 17 * 17 * 4
    assert kept["res2a_branch2c"] == 0 and kept["res2a_sum"] == 0 and kept["res2a"] == 4 * 17 * 17 * 16
    assert kept["res5a_branch2b"] == 2 * 4 * 9 * 9 * 32  # by space-to-batch: the deinterleaved input too
