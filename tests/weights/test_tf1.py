"""TF-1 checkpoints under the port's names, in both formats, with its epsilon."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.errors import UserError
from deeplab_tf.weights import load_weights
from deeplab_tf.weights.tf1 import read_tf1_checkpoint

_FIELDS = {"kernel": "weights", "bias": "biases"}


def _save(prefix, tensors, version):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in tensors.items():
            layer, field = name.split("/")
            v1.get_variable(f"{layer}/{_FIELDS.get(field, field)}", initializer=value)
        v1.get_variable("fc1_voc12_c0/weights/Momentum", initializer=np.zeros(3, np.float32))
        v1.get_variable("global_step", initializer=np.int64(20000))
        session.run(v1.global_variables_initializer())
        v1.train.Saver(write_version=version).save(session, str(prefix), write_meta_graph=False)


@pytest.mark.parametrize(("version", "suffix"), [(1, ""), (2, ".index")])
def test_checkpoint_loads_and_its_epsilon_is_absorbed(tmp_path, small_model, tensors_of, version, suffix):
    source, model = small_model("resnet50_aspp", seed=1), small_model("resnet50_aspp", seed=2)
    expected = tensors_of(source)
    versions = {1: tf.compat.v1.train.SaverDef.V1, 2: tf.compat.v1.train.SaverDef.V2}
    _save(tmp_path / "deeplab_resnet.ckpt", expected, versions[version])
    report = load_weights(model, tmp_path / f"deeplab_resnet.ckpt{suffix}")
    assert not report.reinitialised
    assert set(report.skipped) == {"fc1_voc12_c0/weights/Momentum", "global_step"}
    for name, value in tensors_of(model).items():
        if name.endswith("moving_variance"):
            np.testing.assert_allclose(value, expected[name].astype(np.float64) + 1e-3 - 1e-5, rtol=1e-7)
        else:
            np.testing.assert_array_equal(value, expected[name])
    assert any("val was in its training set" in note for note in report.notes)  # known by its file name


def test_a_checkpoint_without_its_data_is_named(tmp_path):
    _save(tmp_path / "a.ckpt", {"conv1/kernel": np.zeros((1, 1, 1, 1), np.float32)}, tf.compat.v1.train.SaverDef.V2)
    next(tmp_path.glob("*.data-*")).unlink()
    with pytest.raises(UserError, match="a.ckpt"):
        read_tf1_checkpoint(tmp_path / "a.ckpt")
