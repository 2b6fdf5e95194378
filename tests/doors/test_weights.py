"""A weights file without a run, through the doors as users run them: published names, MSC, and Python's numbers."""

import json

import numpy as np
import pytest
from PIL import Image

import deeplab_tf as dl
from deeplab_tf.datasets.pictures import read_image
from tests.doors_forked import run_door
from tests.weights.caffe_writer import Layer, write_caffemodel

WIDTH, SCALES = 0.03, (0.5, 0.75, 1.0)
SETTINGS = ["--scales=0.5,0.75,1", "--dataset=voc2012"]
NETWORK = ["--model=vgg16_largefov", f"--width={WIDTH}", *SETTINGS]


def caffemodel(model, path):
    """The network as Caffe would have written it, one blob list a layer."""
    layers = {}
    for variable in model.weights:
        layer, name = variable.path.split("/")[-2:]
        layers.setdefault(layer, {})[name] = np.array(variable)
    written = []
    for name, parts in layers.items():
        if "kernel" in parts:
            bias = (parts["bias"],) if "bias" in parts else ()
            written.append(Layer(name, "Convolution", (parts["kernel"].transpose(3, 2, 0, 1), *bias)))
        else:
            statistics = (parts["moving_mean"], parts["moving_variance"], np.ones(1, np.float32))
            written.append(Layer(name, "BatchNorm", statistics))
            written.append(Layer(name.replace("bn", "scale", 1), "Scale", (parts["gamma"], parts["beta"])))
    write_caffemodel(path, written)


def published(name, folder):
    """A made `.caffemodel` with the published names, the network that is in it, and the flags that say so."""
    network = dl.build_model(name, 21, width=WIDTH, atrous_method="auto")
    random = np.random.default_rng(0)
    for weight in network.weights:
        layer, kind = weight.path.split("/")[-2:]
        if kind in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif kind == "kernel" and layer.startswith("fc"):  # whose published initial weights are too small to tell classes apart
            weight.assign(random.normal(0, (np.prod(weight.shape[:3]) / 3) ** -0.5, weight.shape))
    caffemodel(network, folder / "made.caffemodel")
    loaded = dl.build_model(name, 21, width=WIDTH, atrous_method="auto", weights=str(folder / "made.caffemodel"))
    flags = [f"--weights={folder / 'made.caffemodel'}", f"--model={name}", f"--width={WIDTH}", *SETTINGS]
    return flags, loaded


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """Of the network whose weights are the most asked for."""
    return published("resnet101_aspp", tmp_path_factory.mktemp("resnet"))


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """Of one that is traced in a tenth of the time."""
    return published("vgg16_largefov", tmp_path_factory.mktemp("vgg"))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "one.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (70, 93, 3)).astype(np.uint8)).save(path)
    return path


def test_predict_is_segment_bit_for_bit(resnet, image, tmp_path):
    flags, network = resnet
    written = ["--nocrf", "--write=labels,probabilities"]
    result = run_door("predict", *flags, f"--out={tmp_path}", *written, image)
    assert result.returncode == 0, result.stderr[-2000:]
    expected = dl.segment(network, read_image(image), scales=SCALES)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "one_labels.png")), expected.argmax(-1))
    assert np.array_equal(np.load(tmp_path / "one_probabilities.npy"), expected.astype(np.float16))


def test_export_and_predict_by_the_saved_model(vgg, image, tmp_path):
    flags, network = vgg
    result = run_door("export", *flags, f"--out={tmp_path / 'saved'}")
    assert result.returncode == 0, result.stderr[-2000:]
    out = tmp_path / "out"
    written = ["--nocrf", "--write=palette,labels,shares"]
    result = run_door("predict", f"--saved_model={tmp_path / 'saved'}", f"--out={out}", *written, image)
    assert result.returncode == 0, result.stderr[-2000:]
    expected = dl.segment(network, read_image(image), scales=SCALES).argmax(-1)
    assert np.array_equal(np.asarray(Image.open(out / "one_labels.png")), expected) and len(np.unique(expected)) > 2
    colors = np.array(dl.get_dataset("voc2012").palette)[expected]
    assert np.array_equal(np.asarray(Image.open(out / "one.png").convert("RGB")), colors)
    shares = json.loads((out / "shares.json").read_text())["one"]
    assert shares["background"] == np.mean(expected == 0)


def test_eval_is_one_confusion_matrix_over_segment(vgg, tmp_path):
    flags, network = vgg
    data, spec = tmp_path / "VOC", dl.get_dataset("voc2012")
    random, counts = np.random.default_rng(2), dl.ConfusionMatrix(21)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (data / folder).mkdir(parents=True)
    for name, size in (("a", (41, 60)), ("b", (65, 33))):
        image = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        label = Image.fromarray(random.choice([0, 3, 20, 255], size).astype(np.uint8), "P")
        label.putpalette([level for color in spec.palette for level in color])
        Image.fromarray(image).save(data / "JPEGImages" / f"{name}.png")
        label.save(data / "SegmentationClass" / f"{name}.png")
        counts.update(np.asarray(label), dl.segment(network, image, scales=SCALES).argmax(-1))
    (data / "ImageSets/Segmentation/val.txt").write_text("a\nb\n")
    result = run_door("eval", *flags, f"--data_dir={data}", f"--out={tmp_path / 'out'}", "--nocrf")
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert found["mean_iou"] == counts.mean_iou() and found["confusion_matrix"] == counts.matrix.tolist()
    assert found["settings"]["weights"] == "made.caffemodel" and found["settings"]["scales"] == list(SCALES)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--workdir is not set, expected the folder of a run, or --weights"),
        (["--weights=x.npz"], "--model is not set"),
        (["--weights=x.npz", "--model=vgg16_largefov"], "--dataset is not set"),
        (["--weights=x.npz", *NETWORK], "x.npz"),
        (["--weights={weights}", *NETWORK, "--dataset=cityscapes"], "expected vgg16_largefov with 19 classes (cityscapes)"),
        (["--weights={weights}", *NETWORK, "--saved_model=x"], "--weights: given beside --saved_model=x"),
        (["--saved_model=nowhere"], "--saved_model=nowhere: is no exported network"),
        (["--batch_size=3", "--weights={weights}", *NETWORK], "--batch_size: predict does not use it"),
    ],
)
def test_what_does_not_say_which_network(vgg, image, tmp_path, arguments, message):
    given = [argument.format(weights=vgg[0][0].partition("=")[2]) for argument in arguments]
    result = run_door("predict", *given, f"--out={tmp_path / 'out'}", image)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 2 and last.startswith("error: ") and message in last, result.stderr[-2000:]
    assert not (tmp_path / "out").exists()
