"""What the benchmarks stand on: a peer in a process of its own, and a network that computes in what is told."""

import os
import types

import pytest

from benchmarks import evaluation
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
