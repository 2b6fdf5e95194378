"""The `.caffemodel` reader on files of both generations, whole and damaged."""

import tracemalloc

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.weights.caffe import read_caffemodel
from deeplab_tf.weights.caffe_wire import read_layers
from weights.caffe_writer import Layer, write_caffemodel


@pytest.fixture
def random():
    return np.random.default_rng(0)


def _normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def _conv(random, name, *shape):
    return Layer(name, "Convolution", (_normal(random, *shape), _normal(random, shape[0])))


FORMS = [
    {"version": version, "packed": packed, "legacy_shape": legacy, "double": double}
    for version in (1, 2)
    for packed in (True, False)
    for legacy in (True, False)
    for double in (False, True)
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(f"{k}={v}" for k, v in form.items()))
def test_every_form_of_the_file_gives_the_same_tensors(tmp_path, random, form):
    conv = _conv(random, "conv1_1", 5, 3, 2, 4)
    dense = Layer("fc7", "InnerProduct", (_normal(random, 6, 8), _normal(random, 6)))
    write_caffemodel(tmp_path / "a.caffemodel", [Layer("data", "ReLU"), conv, dense], **form)
    tensors = read_caffemodel(tmp_path / "a.caffemodel").tensors
    assert list(tensors) == ["conv1_1/kernel", "conv1_1/bias", "fc7/kernel", "fc7/bias"]
    assert tensors["conv1_1/kernel"].shape == (2, 4, 3, 5)
    for o, i, y, x in np.ndindex(5, 3, 2, 4):
        assert tensors["conv1_1/kernel"][y, x, i, o] == conv.blobs[0][o, i, y, x]
    np.testing.assert_array_equal(tensors["fc7/kernel"][0, 0], dense.blobs[0].T)
    np.testing.assert_array_equal(tensors["fc7/bias"], dense.blobs[1])


def test_fc6_is_the_dense_layer_on_a_map_in_caffe_order(tmp_path, random):
    weights, x = _normal(random, 3, 512 * 7 * 7), _normal(random, 7, 7, 512)
    write_caffemodel(tmp_path / "a.caffemodel", [Layer("fc6", "InnerProduct", (weights, _normal(random, 3)))])
    kernel = read_caffemodel(tmp_path / "a.caffemodel").tensors["fc6/kernel"]
    assert kernel.shape == (7, 7, 512, 3)
    dense = weights.astype(np.float64) @ x.transpose(2, 0, 1).reshape(-1)
    np.testing.assert_allclose(np.einsum("yxco,yxc->o", kernel.astype(np.float64), x), dense, rtol=1e-9)


@pytest.mark.parametrize("factor", [37.5, 1.0, 0.0])
@pytest.mark.parametrize("epsilon", [None, 1e-3])
def test_batch_norm_is_what_caffe_computes(tmp_path, random, factor, epsilon):
    mean, variance = _normal(random, 4), np.abs(_normal(random, 4))
    gamma, beta = _normal(random, 4), _normal(random, 4)
    blobs = (mean * factor, variance * factor, np.array([factor]))
    write_caffemodel(
        tmp_path / "a.caffemodel",
        [Layer("bn2a_branch1", "BatchNorm", blobs, epsilon), Layer("scale2a_branch1", "Scale", (gamma, beta))],
    )
    tensors = read_caffemodel(tmp_path / "a.caffemodel").tensors
    got = [tensors[f"bn2a_branch1/{name}"].astype(np.float64) for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    x = random.standard_normal((9, 4))
    ours = got[0] * (x - got[2]) / np.sqrt(got[3] + 1e-5) + got[1]
    if factor == 0:
        mean, variance = 0 * mean, 0 * variance
    caffe = gamma * (x - mean) / np.sqrt(variance.astype(np.float64) + (epsilon or 1e-5)) + beta
    np.testing.assert_allclose(ours, caffe, rtol=1e-5, atol=1e-5)


def test_first_batch_norm_and_copies_at_other_scales(tmp_path, random):
    names = ["conv1", "conv1_res05", "fc1_voc12_c0", "fc1_voc12_res075_c0", "fc1_coco"]
    layers = [_conv(random, name, 2, 3, 1, 1) for name in names]
    layers.append(Layer("bn_conv1", "BatchNorm", (np.ones(2), np.ones(2), np.ones(1))))
    layers.append(Layer("scale_conv1", "Scale", (np.ones(2),)))
    write_caffemodel(tmp_path / "a.caffemodel", layers)
    source = read_caffemodel(tmp_path / "a.caffemodel")
    assert source.skipped == ("conv1_res05", "fc1_voc12_res075_c0")
    assert {"bn_conv1/gamma", "bn_conv1/beta", "fc1_voc12_c0/kernel"} <= set(source.tensors)
    assert "conv1/bias" not in source.tensors  # folded into the mean
    np.testing.assert_allclose(source.tensors["bn_conv1/moving_mean"], 1 - layers[0].blobs[1])
    assert any("fc1_coco" in note for note in source.notes)


def test_every_truncation_is_an_error_or_a_shorter_net(tmp_path, random):
    path = tmp_path / "a.caffemodel"
    write_caffemodel(path, [_conv(random, "conv1_1", 2, 3, 2, 2), _conv(random, "conv1_2", 2, 2, 1, 1)])
    whole = path.read_bytes()
    shorter = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            tensors = read_caffemodel(path).tensors
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            shorter += 1
            assert list(tensors) == ["conv1_1/kernel", "conv1_1/bias"]
    assert shorter == 1  # the cut between the two layers; loading then misses conv1_2


def test_damaged_bytes_never_escape_as_another_error(tmp_path, random):
    path = tmp_path / "a.caffemodel"
    write_caffemodel(path, [_conv(random, "conv1_1", 2, 3, 2, 2), Layer("bn", "BatchNorm", (np.ones(2), np.ones(2)))])
    whole = path.read_bytes()
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            damaged[random.integers(len(damaged))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_caffemodel(path)
        except UserError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "none with weights"), (b'layer { name: "conv1" }', ".caffemodel"), (b"<html>not found</html>", ".caffemodel")],
)
def test_what_is_no_net_is_named(tmp_path, content, says):
    path = tmp_path / "a.caffemodel"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_caffemodel(path)


@pytest.mark.parametrize(
    "layer",
    [
        Layer("conv1_1", "Convolution", (np.ones((2, 3)), np.ones(2))),
        Layer("conv1_1", "Convolution", (np.ones((2, 3, 1, 1)), np.ones(3))),
        Layer("conv1_1", "Convolution", (np.ones((2, 3, 1, 1)), np.ones(2), np.ones(2))),
        Layer("fc7", "InnerProduct", (np.ones((2, 3, 3, 3)), np.ones(2))),
        Layer("bn2a", "BatchNorm", (np.ones(2), np.ones(3), np.ones(1))),
        Layer("scale2a", "Scale", (np.ones(2), np.ones(3))),
    ],
)
def test_wrong_blobs_name_the_layer(tmp_path, layer):
    write_caffemodel(tmp_path / "a.caffemodel", [layer])
    with pytest.raises(UserError, match=layer.name):
        read_caffemodel(tmp_path / "a.caffemodel")


def test_one_blob_in_memory_at_a_time(tmp_path, random):
    path = tmp_path / "a.caffemodel"
    write_caffemodel(path, [_conv(random, f"conv{i}", 256, 256, 2, 2) for i in range(12)])  # 1 MiB each
    tracemalloc.start()
    with open(path, "rb") as file:
        count = sum(len(layer.read_blobs()) for layer in read_layers(path, file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 24
    assert path.stat().st_size > 12 * 2**20
    assert peak < 5 * 2**20
