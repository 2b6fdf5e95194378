"""The solver against a NumPy model of Caffe's, step by step, and where other solvers would part from it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.layers import AtrousConv2D
from deeplab_tf.training.schedules import learning_rate
from deeplab_tf.training.solver import AdamW, CaffeSGD, decay_loss, multipliers
from deeplab_tf.training.step import make_step
from tests.oracles import solver as oracle

POLICIES = {
    "poly": dict(steps=50, power=0.9, step_size=1, gamma=1.0),
    "step": dict(steps=50, power=1.0, step_size=20, gamma=0.1),
}


def small_net(seed=0):
    """A strided 1x1 convolution and a head: linear, so that NumPy can differentiate it by hand."""
    picture = keras.Input((None, None, 3))
    x = keras.layers.Lambda(lambda x: x[:, ::8, ::8] / 64.0)(picture)
    gaussian = keras.initializers.RandomNormal(stddev=0.3, seed=seed)
    x = AtrousConv2D(4, 1, name="fc7", kernel_initializer=gaussian, bias_initializer=gaussian)(x)
    gaussian = keras.initializers.RandomNormal(stddev=0.3, seed=seed + 1)
    return keras.Model(picture, AtrousConv2D(3, 1, name="fc8_voc12", kernel_initializer=gaussian)(x))


def numpy_gradients(weights, images, labels):
    x = (images[:, ::8, ::8].astype(np.float64) / 64.0).reshape(-1, 3)
    y = labels[:, ::8, ::8].reshape(-1)
    w1, b1 = weights["fc7/kernel"][0, 0], weights["fc7/bias"]
    w2, b2 = weights["fc8_voc12/kernel"][0, 0], weights["fc8_voc12/bias"]
    hidden = x @ w1 + b1
    scores = hidden @ w2 + b2
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    valid = y != 255
    p[valid, y[valid]] -= 1
    p *= (valid / max(valid.sum(), 1))[:, None]
    back = p @ w2.T
    return {
        "fc7/kernel": (x.T @ back)[None, None],
        "fc7/bias": back.sum(0),
        "fc8_voc12/kernel": (hidden.T @ p)[None, None],
        "fc8_voc12/bias": p.sum(0),
    }


def batches(steps, size, seed=5):
    random = np.random.default_rng(seed)
    for _ in range(steps):
        labels = random.integers(0, 3, (size, 17, 25)).astype(np.uint8)
        labels[random.random(labels.shape) < random.uniform(0, 0.9)] = 255  # uneven void
        yield random.uniform(0, 255, (size, 17, 25, 3)).astype(np.float32), labels


@pytest.mark.parametrize("policy", ["poly", "step"])
@pytest.mark.parametrize("iter_size", [1, 10])
@pytest.mark.parametrize(
    "solver", [(CaffeSGD, oracle.Solver, 1e-2, 1e-6), (AdamW, oracle.AdamW, 1e-3, 5e-6)], ids=["caffe", "adamw"]
)
def test_fifty_steps_equal_the_definition(policy, iter_size, solver):
    ours, definition, base, rounding = solver  # 1 - 0.999 alone is off by 2e-5 of itself in float32
    model = small_net()
    names = {v.path: "/".join(v.path.split("/")[-2:]) for v in model.trainable_variables}
    start = {names[v.path]: v.numpy() for v in model.trainable_variables}
    factors = {"fc7/kernel": (1, 1), "fc7/bias": (2, 0), "fc8_voc12/kernel": (10, 1), "fc8_voc12/bias": (20, 0)}
    reference = definition(start, factors)
    settings = POLICIES[policy]
    optimizer = ours(learning_rate(policy, base=base, **settings))
    step = make_step(model, optimizer, iter_size=iter_size)
    for k, (images, labels) in enumerate(batches(50, 2 * iter_size)):
        step(images, labels)
        micro = [numpy_gradients(reference.weights, images[i : i + 2], labels[i : i + 2]) for i in range(0, 2 * iter_size, 2)]
        reference.update(micro, oracle.learning_rate(policy, base, k, **settings))
    for variable in model.trainable_variables:
        expected = reference.weights[names[variable.path]]
        assert np.abs(expected - start[names[variable.path]]).max() > 1e-3  # it did learn
        np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=rounding)


def test_multipliers_of_the_published_prototxts():
    model = small_net()
    found = {"/".join(v.path.split("/")[-2:]): multipliers(v) for v in model.trainable_variables}
    assert found == {"fc7/kernel": (1, 1), "fc7/bias": (2, 0), "fc8_voc12/kernel": (10, 1), "fc8_voc12/bias": (20, 0)}


def test_decay_loss_is_the_function_whose_gradient_the_decay_is():
    model = small_net()
    with tf.GradientTape() as tape:
        loss = decay_loss(model.trainable_variables, 5e-4)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        expected = 5e-4 * variable.numpy() if variable.path.endswith("kernel") else None
        assert (gradient is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "other, differs",
    [("caffe", False), ("keras l2(5e-4)", True), ("tf-1 momentum", True), ("decay on biases", True)],
)
def test_table_of_solvers_that_part_from_caffes(other, differs):
    """One weight, a constant gradient, a rate that drops: the usual mistakes against the published update."""
    rates, gradient, decay, momentum = [0.1, 0.1, 0.01, 0.01], 0.5, 5e-4, 0.9

    def run(kind):
        w, v, bias, bias_v = 1.0, 0.0, 1.0, 0.0
        for rate in rates:
            g = gradient + (2 if kind == "keras l2(5e-4)" else 1) * decay * w
            bias_g = gradient + (decay * bias if kind == "decay on biases" else 0)
            if kind == "tf-1 momentum":
                v, bias_v = momentum * v + g, momentum * bias_v + bias_g
                w, bias = w - rate * v, bias - rate * bias_v
            else:
                v, bias_v = momentum * v + rate * g, momentum * bias_v + rate * bias_g
                w, bias = w - v, bias - bias_v
        return np.array([w, bias])

    reference = oracle.Solver({"w": 1.0, "b": 1.0}, {"w": (1, 1), "b": (1, 0)})
    for rate in rates:
        reference.update([{"w": gradient, "b": gradient}], rate)
    expected = np.array([reference.weights["w"], reference.weights["b"]])
    assert (np.abs(run(other) - expected).max() > 1e-6) == differs


@pytest.mark.parametrize("policy", ["poly", "step"])
def test_schedules_equal_the_formulas(policy):
    schedule = learning_rate(policy, base=1e-3, steps=20000, power=0.9, step_size=2000, gamma=0.1)
    for step in (0, 1, 1999, 2000, 2001, 5999, 19999):
        expected = oracle.learning_rate(policy, 1e-3, step, steps=20000, power=0.9, step_size=2000, gamma=0.1)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)


def test_ignored_classes_count_as_void():
    images, labels = next(iter(batches(1, 2)))
    without = np.where(labels == 1, 255, labels)
    ignoring = make_step(small_net(), CaffeSGD(1e-2), ignore_classes=(1,))(images, labels)
    voided = make_step(small_net(), CaffeSGD(1e-2))(images, without)
    assert ignoring["loss"].numpy() == voided["loss"].numpy()
    assert ignoring["loss"].numpy() != make_step(small_net(), CaffeSGD(1e-2))(images, labels)["loss"].numpy()


def test_a_step_counts_predicted_and_true_classes_of_valid_positions():
    images, labels = next(iter(batches(1, 4)))
    results = make_step(small_net(), CaffeSGD(1e-2), iter_size=2)(images, labels)
    seen = labels[:, ::8, ::8]
    predicted = small_net()(images).numpy().argmax(-1)  # the step counts before it updates
    for name, ids in (("labelled", seen), ("predicted", predicted)):
        np.testing.assert_array_equal(results[name], np.bincount(ids[seen != 255], minlength=3))


@pytest.mark.parametrize("decay", [0.3, 0.0, None])
def test_the_decay_counts_once_and_leaves_biases_alone(decay):
    """Under the name that Keras' optimizers have for it, through Keras' own entrance, with a gradient of 0."""
    optimizer = CaffeSGD(0.1, momentum=0.0, weight_decay=decay)
    optimizer = CaffeSGD.from_config(optimizer.get_config())  # as a loaded model has it
    model = small_net()
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer.apply_gradients([(tf.zeros_like(variable.value), variable) for variable in model.trainable_variables])
    for old, variable in zip(before, model.trainable_variables, strict=True):
        rate = 0.1 * (10 if "fc8" in variable.path else 1)
        factor = 1 - rate * (decay or 0) if variable.path.endswith("kernel") else 1
        np.testing.assert_allclose(variable.numpy(), factor * old, rtol=1e-6)


def test_optimizer_and_loss_work_in_model_fit():
    """The same update through model.compile and model.fit."""
    from deeplab_tf.training.losses import segmentation_loss

    data = list(batches(5, 2))
    by_fit, by_step = small_net(), small_net()
    by_fit.compile(optimizer=CaffeSGD(1e-2), loss=segmentation_loss)
    for images, labels in data:
        by_fit.train_on_batch(images, labels)
    step = make_step(by_step, CaffeSGD(1e-2))
    for images, labels in data:
        step(images, labels)
    for a, b in zip(by_fit.trainable_variables, by_step.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-7)


def test_fit_takes_our_batches(data_dir):
    """The README's lines, on rendered scenes."""
    import deeplab_tf as dl
    from deeplab_tf.datasets import sources
    from deeplab_tf.training.losses import segmentation_loss

    spec = dl.get_dataset("folder", data_dir)
    batches = sources.training(spec, data_dir, "train", crop_size=65, batch_size=2)
    model = dl.build_model("vgg16_largefov", spec.num_classes, width=0.05)
    before = [variable.numpy() for variable in model.trainable_variables]
    model.compile(optimizer=CaffeSGD(1e-2), loss=segmentation_loss)
    history = model.fit(batches.map(lambda batch: (batch["image"], batch["label"])), steps_per_epoch=2, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True))
