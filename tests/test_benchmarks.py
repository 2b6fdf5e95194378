"""What the benchmarks stand on: a peer in a process of its own, and a network that computes in what is told."""

import os
import types

import numpy as np
import pytest

from benchmarks import evaluation, serving
from benchmarks.layer_weights import soft_iou_loss
from benchmarks.measuring import elsewhere, in_turn, resident_megabytes
from deeplab_tf.errors import UserError


def counting(path):
    """A run that leaves the number of its process, a line a call, and says something on its way."""

    def run():
        print("hello from the framework")
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")

    return run


def crashing():
    """A run that takes its process down, as a framework beside another one may."""
    return lambda: os.kill(os.getpid(), 11)


def test_a_run_elsewhere_takes_its_turn_in_one_other_process(tmp_path):
    with elsewhere("tests.test_benchmarks:counting", str(tmp_path / "calls")) as run:
        assert len(in_turn({"peer": run}, 2)["peer"]) == 2
        calls = (tmp_path / "calls").read_text().splitlines()
        assert len(calls) == 3 and len(set(calls)) == 1 and calls[0] != str(os.getpid())


def test_a_crash_elsewhere_is_a_sentence():
    with elsewhere("tests.test_benchmarks:crashing") as run, pytest.raises(UserError, match="ended with code -11 "):
        run()


def test_memory_is_read():
    assert 1 < resident_megabytes("VmRSS") <= resident_megabytes("VmHWM")


@pytest.mark.parametrize(("precision", "computed"), [("float32", "float32"), ("mixed_bfloat16", "bfloat16")])
def test_an_evaluation_is_timed_in_the_precision_that_it_tells(precision, computed):
    network = evaluation.network(types.SimpleNamespace(model="vgg16_largefov", width=0.05), precision)
    assert network.get_layer("conv1_1").compute_dtype == computed


@pytest.mark.parametrize(("model", "width"), [("vgg16_aspp_l", 0.05), ("resnet50_aspp", 0.1)])
def test_random_weights_are_served_with_logits_as_sure_as_trained_ones(model, width, tmp_path):
    network = serving.build(model, 5, width, None, "float32")
    noise = np.random.default_rng(0).integers(0, 256, (1, 97, 129, 3)).astype(np.float32) - 128
    assert 0.3 < np.std(network(noise)) < 3
    doubled = tmp_path / "doubled.weights.h5"
    for layer in network.layers:
        if layer.name.startswith(("fc8_", "fc1_")):
            layer.kernel.assign(2 * layer.kernel)
    network.save_weights(doubled)
    given = serving.build(model, 5, width, str(doubled), "float32")  # weights that are given stay as they are
    np.testing.assert_array_equal(given(noise), network(noise))


def test_the_softened_iou_is_its_definition_and_void_counts_nothing():
    random = np.random.default_rng(0)
    label, logits = random.integers(0, 3, (5, 7)), random.normal(size=(5, 7, 4)).astype(np.float32)  # no pixel of class 3
    label[0, :3] = 255
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    ious = []
    for k in range(3):
        both = sum(p[k] for p, true in zip(probs.reshape(-1, 4), label.ravel(), strict=True) if true == k)
        either = sum(
            max(p[k], float(true == k)) for p, true in zip(probs.reshape(-1, 4), label.ravel(), strict=True) if true != 255
        )
        ious.append(both / either)
    assert float(soft_iou_loss(label, logits)) == pytest.approx(1 - np.mean(ious), abs=1e-6)
    logits[0, :3] += 9 * random.normal(size=(3, 4))
    assert float(soft_iou_loss(label, logits)) == pytest.approx(1 - np.mean(ious), abs=1e-6)
    assert float(soft_iou_loss(label, 40.0 * np.eye(4, dtype=np.float32)[label % 4])) < 1e-6
