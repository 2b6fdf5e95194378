"""PyTorch files, read without PyTorch: values, layouts, and pickles that want more than tensors."""

import collections
import os
import pickle
import zipfile

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.weights import load_weights
from deeplab_tf.weights.names import from_torch
from deeplab_tf.weights.pytorch import read_pytorch
from deeplab_tf.weights.torch_pickle import read_torch_file

torch = pytest.importorskip("torch", reason="PyTorch writes the files of this test: install torch")

_BRANCHES = {"1": "shortcut", "2a": "reduce", "2b": "conv3x3", "2c": "increase"}
_FIELDS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
_FIELDS["moving_variance"] = "running_var"


def _key(name):
    """The port's key for a canonical name of ResNet-101, written down the other way round."""
    layer, field = name.split("/")
    if layer.startswith("fc1_voc12_"):
        return f"aspp.{layer[-2:]}.{'weight' if field == 'kernel' else 'bias'}"
    part = "bn" if layer.startswith("bn") else "conv"
    if layer in ("conv1", "bn_conv1"):
        return f"layer1.conv1.{part}.{_FIELDS[field]}"
    block, branch = layer.removeprefix("res").removeprefix("bn").split("_branch")
    index = int(block[2:]) + 1 if len(block) > 2 else "abc".index(block[1]) + 1
    return f"layer{block[0]}.block{index}.{_BRANCHES[branch]}.{part}.{_FIELDS[field]}"


def _state(tensors, prefix):
    state = collections.OrderedDict()
    for name, value in tensors.items():
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
        state[prefix + _key(name)] = torch.from_numpy(np.ascontiguousarray(value))
        if name.endswith("moving_variance"):
            state[prefix + _key(name).replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    return state


@pytest.fixture(scope="module")
def models(small_model):
    return small_model("resnet101_aspp", seed=1), small_model("resnet101_aspp", seed=2)


@pytest.mark.parametrize(("prefix", "new_format"), [("base.", True), ("", False), ("module.base.", True)])
def test_the_best_ports_state_dict_loads(tmp_path, models, tensors_of, prefix, new_format):
    source, model = models
    expected = tensors_of(source)
    torch.save(_state(expected, prefix), tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    report = load_weights(model, tmp_path / "a.pth")
    assert not report.reinitialised and len(report.loaded) == 528
    assert all(name.endswith("num_batches_tracked") for name in report.skipped)
    for name, value in tensors_of(model).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("layer", ["res4b3_branch2b", "conv1"])
def test_a_layer_computes_what_pytorch_computes(tmp_path, models, tensors_of, layer):
    """Convolution, padding, rate, kernel order and batch norm against torch's own functions."""
    source, _ = models
    state = _state(tensors_of(source), "")
    composite = source.get_layer(layer)
    stem = _key(f"{layer}/kernel").removesuffix("conv.weight")
    x = np.random.default_rng(3).standard_normal((1, 13, 18, composite.kernel.shape[2])).astype(np.float32)
    options = {"stride": 2, "padding": 3} if layer == "conv1" else {"padding": 2, "dilation": 2}
    y = torch.nn.functional.conv2d(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), state[f"{stem}conv.weight"], **options)
    norm = [state[f"{stem}bn.{field}"] for field in ("running_mean", "running_var", "weight", "bias")]
    y = torch.relu(torch.nn.functional.batch_norm(y, *norm, eps=1e-5)).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(np.asarray(composite(x)), y, atol=2e-5)


@pytest.mark.parametrize("new_format", [True, False])
def test_types_views_and_parameters(tmp_path, new_format):
    base = torch.arange(24, dtype=torch.float64)
    state = {
        "a": base.view(4, 6).t(),
        "b": base[3:9:2],
        "h": torch.ones(2).half(),
        "n": torch.tensor(5),
        "p": torch.nn.Parameter(torch.full((2, 2), 0.5)),
        "e": torch.zeros(0),
    }
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    got = read_torch_file(tmp_path / "a.pth")
    assert set(got) == set(state)
    for name, value in state.items():
        np.testing.assert_array_equal(got[name], value.detach().numpy())


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path, new_format):
    state = {"layer1.conv1.conv.weight": torch.zeros(1), "evil": _Evil(tmp_path / "ran")}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError, match="mkdir, which is refused"):
        read_pytorch(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [("builtins", "eval"), ("os", "system"), ("torch", "load"), ("numpy", "fromfile")])
def test_no_other_name_is_found(tmp_path, name):
    code = b"\x80\x02c" + name[0].encode() + b"\n" + name[1].encode() + b"\nX\x01\x00\x00\x001\x85R."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", code)
    with pytest.raises(UserError, match="is refused"):
        read_torch_file(tmp_path / "a.pth")


def test_strides_beyond_the_storage_are_refused(tmp_path):
    class Far:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (torch.zeros(4).untyped_storage(), 0, (1000, 1000), (1000, 1), False, {})

    torch.save({"a": torch.zeros(4), "b": Far()}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="a.pth"):
        read_torch_file(tmp_path / "a.pth")


def test_damaged_and_other_files(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"w": torch.ones(100)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="a.pth"):
            read_torch_file(path)
    path.write_bytes(pickle.dumps({"w": [1, 2]}))
    with pytest.raises(UserError, match="a.pth"):
        read_torch_file(path)
    torch.save([1, 2, 3], path)
    with pytest.raises(UserError, match="state dict"):
        read_pytorch(path)


def test_keys_without_a_place():
    assert from_torch("base.layer2.block1.other.conv.weight", True) is None
    assert from_torch("base.layer2.block1.reduce.bn.num_batches_tracked", True) is None
    assert from_torch("epoch", True) is None
    assert from_torch("layer4.block2.shortcut.bn.running_var", False) == "bn4b_branch1/moving_variance"
