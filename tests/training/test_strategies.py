"""Several devices give the weights of one, as a user runs them; and what is said when they cannot."""

import json
import shutil
import signal
import socket
import time

import cv2
import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.layers.dropout import Dropout
from deeplab_tf.training.strategies import open_devices
from tests.training import trainer
from tests.training.trainer import NARROW, finish

STEPS = 12
# An ignored class makes the shares' valid positions uneven; padding would as well, but flat areas are ties for max pooling,
# which rounding decides, and that differs between processors by the size of a share.
FLAGS = [
    *NARROW,
    "--batch_size=4",
    "--iter_size=2",
    f"--steps={STEPS}",
    "--save_every=2",
    "--log_every=1",
    "--base_learning_rate=0.01",
    "--ignore_classes=0",
]


def without_dropout():
    """Its masks differ between devices; called in the trainer's process."""
    Dropout.call = lambda self, inputs, training=False: inputs


def start(workdir, data_dir, flags, environment=None):
    return trainer.start(workdir, data_dir, flags, environment, without_dropout)


def start_workers(workdir, data_dir):
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            ports.append(probe.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    return [
        start(workdir, data_dir, [*FLAGS, "--strategy=multi_worker"],
              environment={"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})})
        for i in range(2)
    ]  # fmt: skip


def state(workdir):
    with np.load(workdir / "checkpoints" / f"step-{STEPS:08d}.npz") as file:
        return {name: file[name] for name in file.files if file[name].dtype == np.float32}


def losses(workdir):
    return [json.loads(line)["loss"] for line in (workdir / "train.jsonl").read_text().splitlines()]


def assert_equal_runs(workdir, one):
    np.testing.assert_allclose(losses(workdir), losses(one), rtol=1e-5)
    found, expected = state(workdir), state(one)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def data_dir(data_dir, tmp_path_factory):
    """The scenes with noise on them, so that none is flat."""
    root = shutil.copytree(data_dir, tmp_path_factory.mktemp("noisy") / "scenes")
    for number, path in enumerate(sorted(root.glob("images/*/*"))):
        image = cv2.imread(str(path)).astype(np.int16)
        noise = np.random.default_rng(number).integers(-40, 41, image.shape)
        cv2.imwrite(str(path), np.clip(image + noise, 0, 255).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def one_device(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("one")
    finish(start(workdir, data_dir, FLAGS))
    assert losses(workdir)[0] != losses(workdir)[-1]
    return workdir


def test_two_mirrored_devices_equal_one(tmp_path, data_dir, one_device):
    finish(start(tmp_path, data_dir, [*FLAGS, "--strategy=mirrored", "--cpu_devices=2"]))
    assert_equal_runs(tmp_path, one_device)


def test_two_workers_equal_one_even_after_one_was_lost(tmp_path, data_dir, one_device):
    chief, other = start_workers(tmp_path, data_dir)
    log, deadline = tmp_path / "train.jsonl", time.monotonic() + 300
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert time.monotonic() < deadline and chief.poll() is None
        time.sleep(0.01)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    last = finish(chief, code=2)[1].strip().splitlines()[-1]
    assert last.startswith("error: worker 0 of 2: another worker is lost") and str(tmp_path) in last
    assert 2 <= max(int(path.stem[-8:]) for path in tmp_path.glob("checkpoints/step-*.npz")) < STEPS
    for worker in start_workers(tmp_path, data_dir):
        finish(worker)
    assert_equal_runs(tmp_path, one_device)


def test_a_batch_that_the_devices_cannot_share_is_refused(tmp_path, data_dir):
    _, err = finish(start(tmp_path, data_dir, [*FLAGS, "--strategy=mirrored", "--cpu_devices=3"]), code=2)
    last = err.strip().splitlines()[-1]
    assert last == "error: --batch_size: got 4 for 3 devices, expected a multiple of them; take 6."
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [None, "{", '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}'])
def test_multi_worker_says_what_tf_config_lacks(text, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG.*expected.*set it for every worker"):
        open_devices("multi_worker")


def test_an_unknown_strategy():
    with pytest.raises(ValueError, match="expected default, mirrored"):
        open_devices("two_gpus")
