"""The zoo against an independent runtime: OpenCV's Caffe importer runs the published structure with the same file."""

import functools

import cv2
import keras
import numpy as np
import pytest
from weights.caffe_writer import write_caffemodel

from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.weights import load_weights
from parity import published_nets

pytestmark = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromCaffe"),
    reason="this OpenCV has no Caffe importer: install opencv-python-headless>=4.14,<5",
)

TOLERANCE = 1e-4  # of the reference's standard deviation
MEAN_BGR = np.array([104.008, 116.669, 122.675], np.float32)
NETS = {
    "vgg16_largefov": functools.partial(published_nets.vgg16, rates=(12,)),
    "vgg16_aspp_s": functools.partial(published_nets.vgg16, rates=(2, 4, 8, 12)),
    "vgg16_aspp_l": functools.partial(published_nets.vgg16, rates=(6, 12, 18, 24)),
    "vgg16_fc6_4x4_r8": functools.partial(published_nets.vgg16, rates=(8,), fc_size=4, fc_channels=4096),
    "resnet101_aspp": published_nets.resnet101_aspp,
    "msc": published_nets.resnet101_aspp_msc,
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """name -> (path of its random .caffemodel, our model with it); the weights do not depend on the size."""

    @functools.lru_cache(maxsize=1)  # tests of one net follow each other
    def load(name):
        folder = tmp_path_factory.mktemp(name)
        write_caffemodel(folder / "net.caffemodel", NETS[name](65, 65).layers)
        model = build_model("resnet101_aspp" if name == "msc" else name)
        report = load_weights(model, folder / "net.caffemodel")
        assert not report.reinitialised
        assert len(report.loaded) == len(model.weights)
        return folder, model

    return load


def _picture(height, width):
    return np.random.default_rng(height + width).uniform(0, 255, (1, height, width, 3)).astype(np.float32)


def _reference(name, folder, picture):
    """The net in OpenCV, its input set, with no layers fused so that every one can be asked for."""
    net = NETS[name](*picture.shape[1:3])
    (folder / "net.prototxt").write_text(net.prototxt())
    runtime = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))
    runtime.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    runtime.enableFusion(False)
    runtime.setInput(np.ascontiguousarray((picture[..., ::-1] - MEAN_BGR).transpose(0, 3, 1, 2)))
    return net, runtime


def _output(runtime, layer):
    return runtime.forward(layer).transpose(0, 2, 3, 1)


def _error(ours, reference):
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / reference.std())


def _layer_errors(net, runtime, model, picture):
    """(layer, error) in the order of our model; Caffe's in-place layers give a layer its last form."""
    names = [layer.name for layer in net.layers]
    last = {}
    for layer in model.layers:
        tail = layer.name.removeprefix("res")
        for candidate in (layer.name, f"scale{tail}", f"scale_{layer.name}", f"relu_{layer.name}"):
            if candidate in names:
                last[layer.name] = candidate
    outputs = keras.Model(model.input, [model.get_layer(name).output for name in last])(picture)
    return [
        (name, _error(np.asarray(output), _output(runtime, reference)))
        for (name, reference), output in zip(last.items(), outputs, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        ("vgg16_largefov", 65, 65),
        ("vgg16_largefov", 50, 82),
        ("vgg16_largefov", 47, 90),
        ("vgg16_aspp_s", 48, 71),
        ("vgg16_aspp_l", 65, 97),
        ("vgg16_aspp_l", 64, 64),
        ("vgg16_fc6_4x4_r8", 49, 66),
        ("resnet101_aspp", 65, 65),
        ("resnet101_aspp", 50, 82),
        ("resnet101_aspp", 33, 94),
    ],
)
def test_logits_equal_the_caffe_runtime(loaded, name, height, width):
    folder, model = loaded(name)
    picture = _picture(height, width)
    net, runtime = _reference(name, folder, picture)
    error = _error(np.asarray(model(picture)), _output(runtime, net.layers[-1].name))
    if error > TOLERANCE:
        wrong = [(layer, f"{e:.1e}") for layer, e in _layer_errors(net, runtime, model, picture) if e > TOLERANCE]
        pytest.fail(f"logits differ by {error:.1e} of their deviation; first layers beyond: {wrong[:5]}")


@pytest.mark.parametrize(("name", "layers"), [("vgg16_largefov", 21), ("resnet101_aspp", 142)])
def test_every_layer_equals_the_caffe_runtime(loaded, name, layers):
    folder, model = loaded(name)
    picture = _picture(41, 58)
    net, runtime = _reference(name, folder, picture)
    errors = _layer_errors(net, runtime, model, picture)
    assert len(errors) == layers
    assert max(error for _, error in errors) <= TOLERANCE, errors


@pytest.mark.parametrize(("height", "width"), [(65, 65), (33, 97)])
def test_multi_scale_equals_the_caffe_runtime(loaded, height, width):
    folder, model = loaded("msc")
    picture = _picture(height, width)
    net, runtime = _reference("msc", folder, picture)
    half, three_quarters, full, fused = (np.asarray(y) for y in MultiScale(model)(picture, return_all=True))
    assert _error(full, _output(runtime, "fc1_voc12")) <= TOLERANCE
    assert _error(three_quarters, _output(runtime, "fc1_voc12_res075")) <= TOLERANCE
    assert _error(half, _output(runtime, "fc1_voc12_res05")) <= TOLERANCE
    assert _error(fused, _output(runtime, net.layers[-1].name)) <= TOLERANCE
