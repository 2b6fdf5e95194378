"""SavedModels in a process that knows nothing of this package, against `segment`, and what export refuses."""

import base64
import io
import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.errors import UserError
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import ABOUT_FILE
from deeplab_tf.inference.segment import segment
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.serving import saved_model
from deeplab_tf.serving.about import about
from deeplab_tf.serving.exporting import export_model
from deeplab_tf.serving.saved_model import export_saved_model
from deeplab_tf.serving.warmup import WARMUP_FILE
from tests.full_disk import full_disk

NAMES = ("road", "sky", "tree", "car", "sign")
SERVING_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture(scope="module")
def model():
    return _network()


def _network(**options):
    network = build_model("vgg16_largefov", num_classes=5, width=1 / 16, **options)
    head = network.get_layer("fc8_voc12")
    rng = np.random.default_rng(0)  # the published initial weights are so small that all classes are alike
    head.set_weights([rng.normal(0, 3, weight.shape) for weight in head.get_weights()])
    return network


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "parent" / "model"
    export_saved_model(
        model, path, flip=True, class_names=NAMES, palette=[(k, k, k) for k in range(5)], metadata={"trained_on": "miniature"}
    )
    return path


@pytest.fixture(scope="module")
def served(exported):
    return tf.saved_model.load(str(exported)).signatures


def _small(num_classes=3, seed=0):
    """One strided convolution: quick to trace, same geometry as the real networks."""
    picture = keras.Input((None, None, 3))
    initial = keras.initializers.RandomNormal(0, 0.05, seed=seed)
    x = keras.layers.Rescaling(1 / 64, offset=-1.8)(picture)
    return keras.Model(picture, keras.layers.Conv2D(num_classes, 9, 8, "same", kernel_initializer=initial)(x))


def _picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def _encode(image, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (50, 33), (23, 70)])
def test_serving_default_equals_segment(served, model, size):
    image = _picture(*size)
    answer = served["serving_default"](images=tf.constant(image[None]))
    probabilities = segment(model, image, flip=True)
    assert answer["probabilities"].dtype == tf.float32 and answer["labels"].dtype == tf.uint8
    np.testing.assert_allclose(answer["probabilities"][0], probabilities, atol=1e-5)
    np.testing.assert_array_equal(answer["labels"][0], answer["probabilities"][0].numpy().argmax(-1))
    assert np.mean(answer["labels"][0].numpy() == probabilities.argmax(-1)) > 0.999


def test_labels_alone_are_those_of_the_probabilities(served, picture):
    answer, images = served["labels"](images=tf.constant(picture(31, 50)[None])), tf.constant(picture(31, 50)[None])
    assert set(answer) == {"labels"} and answer["labels"].dtype == tf.uint8
    np.testing.assert_array_equal(answer["labels"], served["serving_default"](images=images)["labels"])


def test_labels_alone_compute_no_softmax():
    module = saved_model.SegmentationModule(Predictor(_small()))
    for function, there in ((module.serve, True), (module.serve_labels, False)):
        kinds = {operation.type for operation in function.get_concrete_function().graph.get_operations()}
        assert ("Softmax" in kinds) is there and "ArgMax" in kinds


def test_large_pictures_are_cut_into_tiles_inside(tmp_path, picture):
    network = _small()
    tile = Tiles((33, 41), (9, 16))
    export_saved_model(network, tmp_path / "model", tile=tile, flip=True)
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    for size in ((33, 41), (34, 41), (100, 97), (33, 130), (129, 20)):
        images = np.stack([picture(*size, seed) for seed in range(2)])
        probabilities = signatures["serving_default"](images=images)["probabilities"].numpy()
        for image, got in zip(images, probabilities, strict=True):
            np.testing.assert_allclose(got, segment(network, image, flip=True, tile=tile), atol=1e-5)
        np.testing.assert_array_equal(signatures["labels"](images=images)["labels"], probabilities.argmax(-1))
    about_it = json.loads((tmp_path / "model" / ABOUT_FILE).read_text())
    assert about_it["tile"] == {"size": [33, 41], "overlap": [9, 16]}
    whole = segment(network, picture(100, 97), flip=True, tile=Tiles((200, 200), (9, 16)))
    assert np.abs(whole - segment(network, picture(100, 97), flip=True, tile=tile)).max() > 1e-3  # tiles do change something


def test_tiles_have_no_place_in_other_formats_and_must_be_larger_than_the_padding(tmp_path):
    with pytest.raises(UserError, match="--tile: the format onnx has no tiles inside"):
        export_model(_small(), tmp_path / "m.onnx", format="onnx", tile=65)
    with pytest.raises(ValueError, match="expected sides above 8"):
        export_saved_model(_small(), tmp_path / "model", tile=8)


def test_warm_up_requests_are_answered(tmp_path):
    """As TensorFlow Serving reads them: MODELS/NAME/VERSION, each request by its signature."""
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="tensorflow-serving-api is not installed")
    export_saved_model(_small(), tmp_path / "roads" / "1")
    signatures = tf.saved_model.load(str(tmp_path / "roads" / "1")).signatures
    asked = set()
    for record in tf.data.TFRecordDataset(str(tmp_path / "roads" / "1" / WARMUP_FILE)).as_numpy_iterator():
        request = apis.PredictionLog.FromString(record).predict_log.request
        signature = request.model_spec.signature_name
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        assert signatures[signature](**inputs)
        asked.add(signature)
    assert asked == set(signatures)


def rest(signatures, request):
    """TensorFlow Serving's answer in JSON to one in JSON, by its api_rest.md: {"b64": …} is bytes, and so is a tensor of
    strings whose name ends with _bytes; other strings are text."""
    request = json.loads(request)
    signature = signatures[request["signature_name"]]
    ((name, value),) = request["inputs"].items()
    kind = signature.structured_input_signature[1][name].dtype
    value = [base64.b64decode(entry["b64"]) for entry in value] if kind == tf.string else value
    ((name, answer),) = signature(**{name: tf.constant(value, kind)}).items()
    answer = answer.numpy().tolist()
    if name.endswith("_bytes"):
        answer = [{"b64": base64.b64encode(entry).decode()} for entry in answer]
    return json.dumps({"outputs": answer})


def test_requests_and_answers_over_the_wire(served, model):
    image = _picture(21, 30)
    with_files, _, with_arrays, _ = re.findall(r"```json\n(.*?)\n```", SERVING_PAGE.read_text())
    arrays = json.loads(with_arrays) | {"inputs": {"images": image[None].tolist()}}
    labels = np.array(json.loads(rest(served, json.dumps(arrays)))["outputs"])
    file = base64.b64encode(_encode(image, "PNG")).decode()
    png = json.loads(rest(served, with_files.replace("…", file)))["outputs"][0]["b64"]
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(png)))), labels[0])
    assert np.mean(labels[0] == segment(model, image, flip=True).argmax(-1)) > 0.999


def test_the_page_on_servers_names_what_is_there(served):
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", SERVING_PAGE.read_text(), re.M)
    assert {name: ({takes}, set(re.findall(r"\w+", answers))) for name, takes, answers in rows} == {
        name: (set(one.structured_input_signature[1]), set(one.structured_outputs)) for name, one in served.items()
    }


def test_batch_equals_single_pictures(served, model):
    images = np.stack([_picture(30, 41, seed) for seed in range(3)])
    answer = served["serving_default"](images=tf.constant(images))
    for image, probabilities in zip(images, answer["probabilities"].numpy(), strict=True):
        np.testing.assert_allclose(probabilities, segment(model, image, flip=True), atol=1e-5)


def test_encoded_takes_files_of_different_kinds_and_sizes(served, model):
    photo, grey = _picture(45, 60), _picture(20, 31)[..., 0]
    alpha = np.dstack([_picture(17, 17), np.full((17, 17), 90, np.uint8)])
    white = Image.new("RGBA", (17, 17), "white")
    over_white = np.array(Image.alpha_composite(white, Image.fromarray(alpha)).convert("RGB"))  # as every reader here takes it
    files = [_encode(photo, "JPEG", quality=90), _encode(photo, "PNG"), _encode(grey, "PNG"), _encode(alpha, "PNG")]
    seen = [np.array(Image.open(io.BytesIO(files[0]))), photo, np.stack([grey] * 3, -1), over_white]
    answer = served["encoded"](encoded_images=tf.constant(files))
    for png, image in zip(answer["label_png_bytes"].numpy(), seen, strict=True):
        labels = np.array(Image.open(io.BytesIO(png)))
        assert labels.dtype == np.uint8 and labels.shape == image.shape[:2]
        assert np.mean(labels == segment(model, image, flip=True).argmax(-1)) > 0.995


def test_logits_are_those_of_the_padded_picture(served, model):
    image = _picture(20, 31)
    logits = served["logits"](images=tf.constant(image[None]))["logits"]
    padded = np.tile(np.float32([122.675, 116.669, 104.008]), (25, 33, 1))
    padded[:20, :31] = image
    assert logits.shape == (1, 4, 5, 5) and logits.dtype == tf.float32
    np.testing.assert_allclose(logits, model(padded[None]), rtol=1e-4, atol=1e-4)


def test_serves_without_the_package(exported, tmp_path):
    image = _picture(19, 28)
    np.save(tmp_path / "image.npy", image)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "labels = served(images=tf.constant(np.load('image.npy')[None]))['labels'].numpy()\n"
        "assert not any(name.startswith('deeplab_tf') for name in sys.modules)\n"
        "np.save('labels.npy', labels)\n"
    )
    subprocess.run([sys.executable, "-c", program, exported.resolve()], cwd=tmp_path, check=True, capture_output=True)
    assert np.load(tmp_path / "labels.npy").shape == (1, 19, 28)


def test_metadata_stands_beside_the_graph(exported):
    about = json.loads((exported / ABOUT_FILE).read_text())
    assert about["class_names"] == list(NAMES) and about["palette"][4] == [4, 4, 4]
    assert about["flip"] is True and about["output_stride"] == 8 and about["metadata"] == {"trained_on": "miniature"}
    assert [path.name for path in exported.parent.iterdir()] == ["model"]


def test_scales_and_multi_scale_networks(tmp_path):
    network, image = _small(), _picture(30, 45)
    scales = (0.5, 0.75, 1.0)
    expected = segment(network, image, scales=scales)
    export_saved_model(MultiScale(network, scales), tmp_path / "fused")
    answer = tf.saved_model.load(str(tmp_path / "fused")).signatures["serving_default"](images=image[None])
    np.testing.assert_allclose(answer["probabilities"][0], expected, atol=1e-5)


def test_bfloat16_networks(tmp_path):
    worst = export_saved_model(_network(precision="mixed_bfloat16", atrous_method="native"), tmp_path / "half")
    assert worst["probabilities"] < 2e-2


def test_more_than_256_classes_are_int32(tmp_path):
    export_saved_model(_small(300), tmp_path / "many")
    signatures = tf.saved_model.load(str(tmp_path / "many")).signatures
    answer = signatures["serving_default"](images=_picture(9, 12)[None])
    assert answer["labels"].dtype == tf.int32
    png = signatures["encoded"](encoded_images=tf.constant([_encode(_picture(9, 12), "PNG")]))["label_png_bytes"]
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png.numpy()[0]))), answer["labels"][0])


def test_mismatch_is_loud_and_leaves_nothing(tmp_path, monkeypatch):
    """An artefact whose graph pads otherwise than `segment` must not get out."""

    class Wrong(Predictor):
        def probabilities(self, images):
            return super().probabilities(tf.roll(images, 3, axis=2))

    model, path = _small(), tmp_path / "model"
    export_saved_model(model, path)
    before = sorted(file.name for file in tmp_path.rglob("*"))
    module = saved_model.SegmentationModule
    monkeypatch.setattr(saved_model, "SegmentationModule", lambda predictor: module(Wrong(model)))
    with pytest.raises(RuntimeError, match="differs from segment by probabilities"):
        export_saved_model(model, path, overwrite=True)
    assert sorted(file.name for file in tmp_path.rglob("*")) == before
    with pytest.raises(RuntimeError, match="not kept"):
        export_saved_model(model, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_overwrites_only_a_saved_model_and_only_when_told(tmp_path):
    network = _small()
    path = tmp_path / "model"
    export_saved_model(network, path)
    with pytest.raises(UserError, match="--overwrite"):
        export_saved_model(network, path)
    network.set_weights([weight + 0.5 for weight in network.get_weights()])
    export_saved_model(network, path, overwrite=True)
    logits = tf.saved_model.load(str(path)).signatures["logits"](images=_picture(9, 9)[None])["logits"]
    expected = Predictor(network).logits(tf.constant(_picture(9, 9)[None]))
    np.testing.assert_allclose(logits, expected, rtol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("text")
    for target in (tmp_path / "mine", tmp_path / "mine" / "thesis.tex"):
        with pytest.raises(UserError, match=target.name):
            export_saved_model(network, target, overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "text"


def test_a_full_disk_or_a_file_in_the_way_is_one_sentence_and_leaves_nothing(tmp_path):
    with full_disk(10_000), pytest.raises(UserError, match="model: cannot be written .File too large.; free the disk"):
        export_saved_model(_small(), tmp_path / "model")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a folder"):
        export_saved_model(_small(), tmp_path / "file" / "deep" / "model")


@pytest.mark.parametrize("scales, stride", [((1.0,), 8), ((0.5,), 16), ((0.3,), 8 / 0.3), ((0.5, 0.75, 1.0), 8)])
def test_metadata_tell_how_far_apart_the_logits_are(scales, stride):
    predictor = Predictor(_small(), scales)
    said = about(predictor, format="saved_model", precision="float32", class_names=None, palette=None, metadata=None)
    assert json.loads(said)["output_stride"] == stride


def test_refuses_names_that_do_not_fit(model, tmp_path):
    with pytest.raises(ValueError, match="class_names has 2 entries, expected 5"):
        export_saved_model(model, tmp_path / "model", class_names=("a", "b"))
    assert not list(tmp_path.iterdir())
