"""Networks in every format, by the program that runs it, against `segment`; and what a converter would get wrong."""

import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.errors import UserError
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import format_of, open_artefact
from deeplab_tf.inference.saved_model import load_saved_model
from deeplab_tf.inference.segment import segment
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.serving import exporting, formats, parity, plain_network
from deeplab_tf.serving.exporting import export_model
from deeplab_tf.serving.formats import FORMATS
from tests.full_disk import full_disk

for module in ("onnx", "onnxruntime", "ai_edge_litert", "openvino", "nncf"):
    pytest.importorskip(module, reason="the extras onnx, litert and openvino are not installed")

FILES = {"onnx": "m.onnx", "litert": "m.tflite", "openvino": "m"}
SIZES = ((1, 1), (50, 33), (23, 70), (65, 65), (129, 18), (16, 128))  # odd, even, tall, wide; other ones than export looks at
NAMES = ("road", "sky", "tree", "car", "sign")
LABELS = {"class_names": NAMES, "palette": [(k, k, k) for k in range(5)]}


def network(name="vgg16_largefov", **options):
    """Narrow and random, but with several classes in a picture and batch norms that are not the identity."""
    model = build_model(name, num_classes=5, width=1 / 16, **options)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith(("fc8_voc12", "fc1_voc12")):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0, 0.3, kernel.shape), np.zeros_like(bias)])
        if hasattr(layer, "statistics"):
            layer.statistics.gamma.assign(rng.uniform(0.8, 1.2, layer.filters))
            layer.statistics.beta.assign(rng.normal(0, 0.1, layer.filters))
            layer.statistics.moving_mean.assign(rng.normal(0, 0.1, layer.filters))
    return model


@pytest.fixture(scope="module")
def vgg():
    return network()


@pytest.fixture(scope="module")
def resnet():
    return network("resnet50_aspp", output_stride=16)


@pytest.fixture(scope="module")
def real(test_data):
    """Real pictures, as they are and small ones to calibrate with."""
    files = sorted((test_data / "data" / "pascal_person_part" / "JPEGImages").glob("*.jpg"))[:8]
    return [read_image(file)[::4, ::4] for file in files]


@pytest.fixture(scope="module")
def exported(vgg, tmp_path_factory):
    """Format -> artefact of the VGG network in float32."""
    folder = tmp_path_factory.mktemp("formats")
    for name, file in FILES.items():
        export_model(vgg, folder / file, format=name, metadata={"trained_on": "noise"}, **LABELS)
    return {name: folder / file for name, file in FILES.items()}


def equal_labels(run, model, image, **how):
    """The share of pixels whose label is the same, ties aside; asserts float32's probabilities."""
    got, expected = run(image[None])[0], segment(model, image, **how)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    return 1 - parity.lost(got.argmax(-1), expected).mean()


@pytest.mark.parametrize("name", FILES)
def test_pictures_of_six_sizes_and_a_real_one(exported, vgg, picture, name, request):
    about, run = open_artefact(exported[name])
    assert about["format"] == name and about["precision"] == "float32" and about["metadata"] == {"trained_on": "noise"}
    pictures = [picture(*size) for size in SIZES]
    assert all(equal_labels(run, vgg, image) >= 0.9999 for image in pictures)
    assert len(np.unique(segment(vgg, pictures[3]).argmax(-1))) > 2  # there is something to confuse
    for image in request.getfixturevalue("real")[:1]:
        assert equal_labels(run, vgg, image) >= 0.9999


@pytest.mark.parametrize("name", ["onnx", "litert"])  # OpenVINO has ONNX' graph
def test_residual_networks_with_folded_batch_norm(resnet, tmp_path, picture, name):
    export_model(resnet, tmp_path / FILES[name], format=name)
    _, run = open_artefact(tmp_path / FILES[name])
    assert all(equal_labels(run, resnet, picture(*size)) >= 0.9999 for size in ((40, 57), (65, 33)))


@pytest.mark.parametrize("name, how", [  # LiteRT has the graph of `segment`
    ("onnx", {"scales": (0.5, 0.75, 1.0), "flip": True, "fusion": "mean_probabilities"}),
    ("openvino", {"scales": (0.5, 0.75, 1.0), "flip": True}), ("litert", {"scales": (0.75, 1.0)}),
])  # fmt: skip
def test_scales_mirror_image_and_fusion_are_inside(vgg, tmp_path, picture, name, how):
    export_model(vgg, tmp_path / FILES[name], format=name, **how)
    about, run = open_artefact(tmp_path / FILES[name])
    told = {"scales": (1.0,), "flip": False, "fusion": "max_logits"} | how
    assert {key: about[key] for key in told} == told | {"scales": list(told["scales"])}
    assert all(equal_labels(run, vgg, picture(*size), **how) >= 0.9999 for size in ((40, 57), (66, 33)))


@pytest.mark.parametrize("name, options", [
    ("vgg16_fc6_4x4_r8", {}), ("vgg16_aspp_s", {"dilated_pools": True, "v1_average_pool": True}),
])  # fmt: skip
def test_every_kind_of_layer_of_the_zoo_has_its_onnx(tmp_path, picture, name, options):
    model = network(name, **options)
    export_model(model, tmp_path / "m.onnx", format="onnx")
    _, run = open_artefact(tmp_path / "m.onnx")
    assert equal_labels(run, model, picture(41, 58)) >= 0.9999


def test_a_multi_scale_network_in_bfloat16_is_exported_in_float32(tmp_path, picture):
    model = MultiScale(network(precision="mixed_bfloat16", atrous_method="native"), (0.5, 1.0))
    export_model(model, tmp_path / "m.onnx", format="onnx")
    about, run = open_artefact(tmp_path / "m.onnx")
    twin = MultiScale(network(), (0.5, 1.0))
    twin.set_weights(model.get_weights())
    assert about["scales"] == [0.5, 1.0] and equal_labels(run, twin, picture(33, 50)) >= 0.9999


@pytest.mark.parametrize("name, precision, least", [
    ("litert", "float16", 0.995), ("litert", "dynamic", 0.97), ("litert", "int8", 0.95), ("onnx", "int8", 0.95),
    ("openvino", "bfloat16", 0.995), ("openvino", "float16", 0.995), ("openvino", "int8", 0.95),
])  # fmt: skip
def test_fewer_bits(vgg, real, exported, tmp_path, name, precision, least):
    path = tmp_path / FILES[name]
    export_model(vgg, path, format=name, precision=precision, calibration=real[:4] if precision == "int8" else ())
    about, run = open_artefact(path)
    assert about["precision"] == precision
    for image in real[4:]:  # not calibrated with
        assert 1 - parity.lost(run(image[None])[0].argmax(-1), segment(vgg, image), 2e-2).mean() >= least

    def size(place):
        return sum(file.stat().st_size for file in ([place] if place.is_file() else place.iterdir()))

    bits = {"int8": 0.45, "dynamic": 0.45, "float16": 0.65, "bfloat16": 1.01}[precision]
    assert size(path) < bits * size(exported[name]) + 60_000  # the graph's own size, which is not small here


def test_a_dilation_that_is_lost_on_the_way_is_refused(vgg, picture, tmp_path, monkeypatch):
    """What a converter does to `space_to_batch` with open sizes: no error and other numbers. The check is what finds it."""
    from deeplab_tf.serving import onnx

    def forgetful(steps, layer, x):
        layer = plain_network.PlainConv2D(layer.kernel, layer.bias, layer.strides, (1, 1), layer.relu, name=layer.name)
        return onnx._conv(steps, layer, x)

    monkeypatch.setitem(onnx._LAYERS, plain_network.PlainConv2D, forgetful)
    with pytest.raises(RuntimeError, match="differs from segment by probabilities"):
        export_model(vgg, tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(parity, "compare", lambda *_: {})
    export_model(vgg, tmp_path / "m.onnx", format="onnx")
    with pytest.raises(AssertionError):
        equal_labels(open_artefact(tmp_path / "m.onnx")[1], vgg, picture(65, 65))


def test_int8_of_split_dilations_is_refused(vgg, real, tmp_path, monkeypatch):
    """Without the plain network LiteRT's int8 has biases behind the split and pads by the least float32."""
    monkeypatch.setattr(exporting, "plain_network", lambda model: model)
    with pytest.raises((RuntimeError, UserError), match="not kept|cannot be converted"):
        export_model(vgg, tmp_path / "m.tflite", format="litert", precision="int8", calibration=real[:2])
    assert not list(tmp_path.iterdir())


def test_the_plain_network_is_the_network(resnet, vgg, picture):
    for model in (resnet, vgg):
        twin = plain_network.plain_network(model)
        kinds = {type(layer).__name__ for layer in twin.layers}
        assert not kinds & {"ConvBatchNorm", "AtrousConv2D"} and not twin.trainable_weights
        np.testing.assert_allclose(segment(twin, picture(40, 51)), segment(model, picture(40, 51)), atol=1e-4)


def test_everything_runs_without_the_package_and_without_tensorflow(exported, vgg, picture, tmp_path):
    np.save(tmp_path / "image.npy", picture(37, 50))
    program = (
        "import sys, numpy as np, onnxruntime, openvino\n"
        "from ai_edge_litert.interpreter import Interpreter\n"
        "x = {'images': np.load('image.npy')[None]}\n"
        "a = onnxruntime.InferenceSession(sys.argv[1]).run(['labels'], x)[0]\n"
        "b = Interpreter(sys.argv[2]).get_signature_runner()(**x)['labels']\n"
        "c = openvino.compile_model(sys.argv[3] + '/model.xml', 'CPU')(x)['labels']\n"
        "assert not {'deeplab_tf', 'tensorflow', 'keras'} & set(sys.modules)\n"
        "np.save('labels.npy', np.concatenate([a, b, c]))\n"
    )
    paths = [exported[name].resolve() for name in FILES]
    environment = {"PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program, *paths], cwd=tmp_path, env=environment, check=True, capture_output=True)
    labels, expected = np.load(tmp_path / "labels.npy"), segment(vgg, picture(37, 50))
    assert labels.dtype == np.uint8 and labels.shape == (3, 37, 50)
    assert all(parity.lost(ids, expected).mean() < 1e-4 for ids in labels)


def test_about_stands_where_each_formats_own_tools_find_it(exported):
    import onnx

    inside = {
        "litert": zipfile.ZipFile(exported["litert"]).read("deeplab_tf.json"),
        "openvino": (exported["openvino"] / "deeplab_tf.json").read_bytes(),
        "onnx": {entry.key: entry.value for entry in onnx.load(exported["onnx"]).metadata_props}["deeplab_tf"],
    }
    for name, text in inside.items():
        about = json.loads(text)
        assert about["class_names"] == list(NAMES) and about["model"] == "vgg16_largefov", name
        assert format_of(exported[name]) == name
        assert load_saved_model(exported[name]).palette[2] == (2, 2, 2)


def test_tritons_configuration_in_the_documentation_is_that_of_the_artefact(exported):
    page = (pathlib.Path(__file__).parents[2] / "docs" / "serving.md").read_text().replace("21 ]", "5 ]")
    written = re.findall(r'name: "(\w+)", data_type: (\w+), dims: \[ (.*) \]', page)
    session = pytest.importorskip("onnxruntime").InferenceSession(str(exported["onnx"]), providers=["CPUExecutionProvider"])
    types = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
    there = [(one.name, types[one.type], ", ".join(str(n if isinstance(n, int) else -1) for n in one.shape))
             for one in (*session.get_inputs(), *session.get_outputs())]  # fmt: skip
    assert sorted(written) == sorted(there)


def test_batches_are_the_pictures(exported, picture):
    import onnxruntime

    images = np.stack([picture(30, 41, seed) for seed in range(3)])
    session, (_, run) = onnxruntime.InferenceSession(exported["onnx"]), open_artefact(exported["onnx"])
    labels, probabilities = session.run(["labels", "probabilities"], {"images": images})
    np.testing.assert_allclose(probabilities, [run(image[None])[0] for image in images], atol=1e-5)
    np.testing.assert_array_equal(labels, probabilities.argmax(-1))


@pytest.mark.parametrize("name, path, precision, calibrated, sentence", [
    ("tflite", "m", None, False, "--format=tflite: no such format, expected one of saved_model, onnx, litert, openvino"),
    ("onnx", "m.onnx", "float16", False, "--precision=float16: the format onnx has none, expected one of float32, int8"),
    ("onnx", "m.onnx", "int8", False, "--calibration: got no pictures.*give --calibration=PICTURES"),
    ("openvino", "m", "bfloat16", True, "--calibration: got pictures for another precision"),
    ("onnx", "m.pb", None, False, "--out=m.pb: the format onnx is a file, expected a name that ends in .onnx"),
])  # fmt: skip
def test_what_cannot_be_asked_is_a_sentence(tmp_path, name, path, precision, calibrated, sentence):
    with pytest.raises(UserError, match=sentence):
        formats.check_format(name, precision, calibrated, tmp_path.joinpath(path).relative_to(tmp_path))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_extra_says_how_to_get_it(tmp_path, monkeypatch, name):
    missing = FORMATS[name].modules[-1]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == missing else find(module))
    with pytest.raises(UserError, match=rf'{missing} is not installed.*pip install "deeplab_tf\[{name}\]"'):
        formats.check_format(name, None, False, tmp_path / FILES[name])


@pytest.mark.parametrize("name, module", [
    ("onnx", "onnxruntime"), ("litert", "ai_edge_litert.interpreter"), ("openvino", "openvino"),
])  # fmt: skip
def test_a_program_that_is_missing_when_an_artefact_is_opened(exported, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf'--saved_model=.*is not installed.*pip install "deeplab_tf\[{name}\]"'):
        load_saved_model(exported[name])


def test_other_networks_are_refused_where_their_layers_are_not_known(make_model, tmp_path):
    with pytest.raises(UserError, match="a Rescaling, expected one of the zoo's layers; export it as saved_model"):
        export_model(make_model(), tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_overwrites_only_its_own_kind_and_only_when_told(exported, vgg, tmp_path):
    (tmp_path / "m.onnx").write_text("mine")
    with pytest.raises(UserError, match="is there already: give another path, or --overwrite"):
        export_model(vgg, tmp_path / "m.onnx", format="onnx")
    export_model(vgg, tmp_path / "m.onnx", format="onnx", overwrite=True)
    assert format_of(tmp_path / "m.onnx") == "onnx"
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.tex").write_text("text")
    with pytest.raises(UserError, match="something else than model.xml and is left alone"):
        export_model(vgg, tmp_path / "m", format="openvino", overwrite=True)
    with pytest.raises(UserError, match="is a folder, expected a file"):
        (tmp_path / "n.tflite").mkdir()
        export_model(vgg, tmp_path / "n.tflite", format="litert", overwrite=True)


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(vgg, tmp_path, name):
    with full_disk(10_000), pytest.raises(UserError, match="cannot be written"):
        export_model(vgg, tmp_path / FILES[name], format=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_artefact_is_one_sentence(exported, tmp_path, name):
    for source in [exported[name]] if exported[name].is_file() else sorted(exported[name].iterdir()):
        target = tmp_path / FILES[name] if exported[name].is_file() else tmp_path / "m" / source.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError, match=f"--saved_model=.*cannot be loaded as {name}"):
        load_saved_model(tmp_path / FILES[name])


def test_no_artefact_at_all(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "m.onnx"):
        with pytest.raises(UserError, match="is no exported network, expected what"):
            load_saved_model(place)


def test_the_predictor_of_a_plain_network_keeps_its_stride(resnet):
    predictor = Predictor(plain_network.plain_network(resnet))
    assert predictor.output_stride == 16 and predictor.num_classes == 5 and isinstance(predictor.network, keras.Model)
