"""export and predict in every format, as users run them, and what int8 costs where there are masks."""

import re

import numpy as np
import pytest
from PIL import Image

import deeplab_tf as dl
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.inference.saved_model import load_saved_model
from tests.doors_forked import run_door

for module in ("onnx", "onnxruntime", "ai_edge_litert", "openvino", "nncf"):
    pytest.importorskip(module, reason="the extras onnx, litert and openvino are not installed")

WIDTH = 0.05
NETWORK = ["--model=vgg16_largefov", f"--width={WIDTH}", "--dataset=voc2012"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    network = dl.build_model("vgg16_largefov", 21, width=WIDTH)
    random = np.random.default_rng(0)
    network.get_layer("fc8_voc12").set_weights([random.normal(0, 0.5, (51, 21))[None, None], np.zeros(21)])
    path = tmp_path_factory.mktemp("weights") / "narrow.weights.h5"
    network.save_weights(path)
    return path, network


@pytest.fixture(scope="module")
def voc(tmp_path_factory, test_data):
    """Two real pictures, halved, with masks that a network may like."""
    data, spec = tmp_path_factory.mktemp("voc"), dl.get_dataset("voc2012")
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (data / folder).mkdir(parents=True)
    names = ("a", "b")
    files = sorted((test_data / "data" / "pascal_person_part" / "JPEGImages").glob("*.jpg"))
    for name, file in zip(names, files[: len(names)], strict=True):
        image = read_image(file)[::3, ::3]
        Image.fromarray(image).save(data / "JPEGImages" / f"{name}.png")
        mask = Image.fromarray(np.random.default_rng(1).integers(0, 21, image.shape[:2]).astype(np.uint8), "P")
        mask.putpalette([level for color in spec.palette for level in color])
        mask.save(data / "SegmentationClass" / f"{name}.png")
    (data / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(names) + "\n")
    return data


@pytest.mark.parametrize("name, file", [("litert", "m.tflite"), ("openvino", "m")])
def test_export_and_predict_without_the_crf(weights, voc, tmp_path, name, file):
    path, network = weights
    said = run_door("export", f"--weights={path}", *NETWORK, f"--format={name}", f"--out={tmp_path / file}", "--nocrf")
    assert said.returncode == 0 and f"{name}: {tmp_path / file} (loaded again" in said.stdout, said.stderr[-2000:]
    picture, written = voc / "JPEGImages" / "a.png", ["--write=labels", f"--out={tmp_path / 'out'}"]
    said = run_door("predict", f"--saved_model={tmp_path / file}", *written, picture)
    assert said.returncode == 0, said.stderr[-2000:]
    labels = np.asarray(Image.open(tmp_path / "out" / "a_labels.png"))
    assert np.mean(labels == dl.segment(network, read_image(picture)).argmax(-1)) > 0.9999
    assert load_saved_model(tmp_path / file).about["metadata"]["crf"] is None


@pytest.mark.parametrize("exported, asked", [([], []), (["--nocrf"], ["--crf", "--crf_iterations=3"])])
def test_the_crf_that_was_exported_stands_behind_it(weights, voc, tmp_path, exported, asked):
    path, network = weights
    out, picture = tmp_path / "m.onnx", voc / "JPEGImages" / "a.png"
    strong = ["--crf_w1=9", "--crf_sigma_alpha=40", "--crf_iterations=3"]
    said = run_door("export", f"--weights={path}", *NETWORK, "--format=onnx", f"--out={out}", *strong, *exported)
    assert said.returncode == 0 and f"onnx: {out} (loaded again" in said.stdout, said.stderr[-2000:]
    said = run_door("predict", f"--saved_model={out}", "--write=labels", f"--out={tmp_path / 'out'}", *asked, picture)
    assert said.returncode == 0 and "the CRF is applied with the parameters" in said.stderr, said.stderr[-2000:]
    image = read_image(picture)
    probabilities = dl.segment(network, image)
    after = dl.DenseCRF(dl.CrfParams(w1=9, sigma_alpha=40, iterations=3), threads=1)(image, probabilities).argmax(-1)
    found = np.asarray(Image.open(tmp_path / "out" / "a_labels.png"))
    assert np.mean(found == after) > 0.999 and np.mean(found != probabilities.argmax(-1)) > 0.01


def test_what_int8_costs_is_told(weights, voc, tmp_path):
    path, network = weights
    out = tmp_path / "m"
    given = ["--format=openvino", "--precision=int8", f"--calibration={voc / 'JPEGImages'}", f"--data_dir={voc}"]
    said = run_door("export", f"--weights={path}", *NETWORK, f"--out={out}", *given)
    assert said.returncode == 0, said.stderr[-2000:]
    told = re.search(r"mean IoU of 2 pictures of val: ([\d.]+) %, int8 ([\d.]+) % \(([+-][\d.]+) points\)", said.stdout)
    before, after = dl.ConfusionMatrix(21), dl.ConfusionMatrix(21)
    for name in ("a", "b"):
        image = read_image(voc / "JPEGImages" / f"{name}.png")
        mask = np.asarray(Image.open(voc / "SegmentationClass" / f"{name}.png"))
        before.update(mask, dl.segment(network, image).argmax(-1))
        after.update(mask, load_saved_model(out).segment(image).argmax(-1))
    assert float(told[1]) == pytest.approx(100 * before.mean_iou(), abs=0.006)
    assert float(told[2]) == pytest.approx(100 * after.mean_iou(), abs=0.006)


@pytest.mark.parametrize("arguments, message", [
    (["--format=onnx", "--out={out}"], "ends in .onnx"),
    (["--format=tensorrt", "--out={out}"], "--format=tensorrt: no such format"),
    (["--format=litert", "--out={out}.tflite", "--precision=bfloat16"], "the format litert has none, expected one of"),
    (["--format=onnx", "--out={out}.onnx", "--precision=int8"], "--calibration: got no pictures"),
    (["--format=onnx", "--out={out}.onnx", "--precision=int8", "--calibration=nowhere"], "nowhere: no such picture"),
    (["--format=onnx", "--out={out}.onnx", "--tile=65"], "--tile: the format onnx has no tiles inside"),
])  # fmt: skip
def test_what_cannot_be_exported(weights, tmp_path, arguments, message):
    given = [argument.format(out=tmp_path / "m") for argument in arguments]
    said = run_door("export", f"--weights={weights[0]}", *NETWORK, *given)
    last = said.stderr.strip().splitlines()[-1]
    assert said.returncode == 2 and last.startswith("error: ") and message in last, said.stderr[-2000:]
    assert not list(tmp_path.iterdir())
