"""Keras' own loop, and batch norm that is trained, on two devices: what one device gives on the whole batch."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json
import keras
import numpy as np
import tensorflow as tf
from deeplab_tf.training.strategies import open_devices
devices = open_devices("mirrored", cpu_devices=2)
from deeplab_tf.layers import AtrousConv2D, ConvBatchNorm
from deeplab_tf.training.losses import SegmentationLoss, segmentation_loss
from deeplab_tf.training.solver import AdamW, CaffeSGD
from deeplab_tf.training.step import make_step

random = np.random.default_rng(0)
images = random.uniform(0, 2, (4, 33, 33, 3)).astype(np.float32)
images[:2] += 1  # the replicas' statistics differ
labels = random.integers(0, 3, (4, 33, 33)).astype(np.uint8)
labels[0, :, :20] = labels[3] = 255  # uneven shares
one = tf.distribute.OneDeviceStrategy("CPU:0")

def model(frozen):
    picture = keras.Input((33, 33, 3))
    initial = keras.initializers.RandomNormal(stddev=0.3, seed=1)
    x = ConvBatchNorm(4, 3, "bn", strides=8, frozen=frozen, kernel_initializer=initial, name="conv")(picture)
    return keras.Model(picture, AtrousConv2D(3, 3, 2, kernel_initializer=initial, name="fc8_")(x))

def weights(network):
    return [v.numpy().astype(np.float64).reshape(-1).tolist() for v in network.variables]

def fit(strategy, loss):
    with strategy.scope():
        network = model(frozen=True)
        network.compile(CaffeSGD(1e-2), loss=loss)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4).repeat()
    history = network.fit(data, steps_per_epoch=1, epochs=2, verbose=0).history["loss"]
    return [history + [network.evaluate(data, steps=1, verbose=0)], *weights(network)]

def step(strategy, iter_size, optimizer=CaffeSGD):
    with strategy.scope():
        network, optimizer = model(frozen=False), optimizer(1e-2)
    shares = [x if strategy is one else devices.scatter(x, iter_size) for x in (images, labels)]
    results = make_step(network, optimizer, iter_size=iter_size, strategy=strategy)(*shares)
    return [[float(results["loss"])], *weights(network)]

def both(run, *options):
    return [run(one, *options), run(devices.strategy, *options)]

print(json.dumps({
    "function": both(fit, segmentation_loss), "class": both(fit, SegmentationLoss(class_weights=(1, 2, 0.5))),
    "batch norm": both(step, 1), "batch norm, two micro-batches": both(step, 2),
    "adamw": both(step, 2, AdamW),
}))
"""


@pytest.fixture(scope="module")
def one_and_two():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("which", ["function", "class", "batch norm", "batch norm, two micro-batches", "adamw"])
def test_two_replicas_equal_one(one_and_two, which):
    for one, two in zip(*one_and_two[which], strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6)
