"""Models saved by Keras come back in a fresh process; names of the package are there when they are asked for."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import deeplab_tf
from deeplab_tf.keras_objects import MODULES

SAVE = """
import sys, keras, numpy as np, deeplab_tf as dl
from deeplab_tf.training.schedules import learning_rate
folder, x = sys.argv[1], np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)).astype("float32")
nets = {name: dl.build_model(name, 3, width=0.02) for name in ("vgg16_largefov", "vgg16_aspp_s", "resnet50_aspp")}
nets["scales"] = dl.MultiScale(dl.build_model("vgg16_aspp_l", 3, width=0.02), (0.5, 1.0))
nets["own"] = keras.Sequential([keras.Input((33, 33, 3)), dl.AtrousConv2D(4, 3, 2), keras.layers.Conv2D(3, 1)])
for name, policy, solver in (("vgg16_largefov", "poly", dl.CaffeSGD), ("scales", "step", dl.training.solver.AdamW)):
    rate = learning_rate(policy, base=1e-3, steps=9, power=0.9, step_size=2, gamma=0.1)
    loss = dl.segmentation_loss if name == "scales" else dl.SegmentationLoss(class_weights=(1, 2, 3))
    nets[name].compile(solver(rate, momentum=0.8, weight_decay=0.01), loss=loss, metrics=[dl.MeanIoU(3)])
    nets[name].fit(x, np.zeros((1, 33, 33), "uint8"), verbose=0)
for name, net in nets.items():
    np.save(f"{folder}/{name}.npy", net(x))
    net.save(f"{folder}/{name}.keras")
"""
LOAD = """
import glob, sys
{imports}
import numpy as np
x = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)).astype("float32")
for path in sorted(glob.glob(sys.argv[1] + "/{files}.keras")):
    net = {load}(path)
    assert np.array_equal(net(x), np.load(path.replace(".keras", ".npy"))), path
    if getattr(net, 'optimizer', None):
        assert net.optimizer.decay == 0.01 and np.isfinite(net.evaluate(x, np.zeros((1, 33, 33), "uint8"), verbose=0)[0])
    print(path)
"""


def python(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    python(SAVE, folder)
    return folder


@pytest.mark.parametrize("imports, load, files", [
    ("import deeplab_tf, keras", "keras.saving.load_model", "*"),
    ("import keras, deeplab_tf", "keras.models.load_model", "vgg16_largefov"),
    ("import deeplab_tf as dl", "dl.load_model", "scales"),
])  # fmt: skip
def test_keras_files_load_in_a_fresh_process(saved, imports, load, files):
    loaded = python(LOAD.format(imports=imports, load=load, files=files), saved).splitlines()
    assert len(loaded) == (5 if files == "*" else 1)


def test_a_keras_file_is_a_weights_file(saved):
    for name, scale in (("vgg16_largefov", ()), ("vgg16_aspp_l", ("scales",))):
        network = deeplab_tf.load_model(saved / f"{(*scale, name)[0]}.keras", model=name, num_classes=3, width=0.02)
        if not scale:
            x = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)).astype("float32")
            np.testing.assert_allclose(network(x), np.load(saved / f"{name}.npy"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, content, options, message", [
    ("gone.keras", None, {}, "no such file"),
    ("bad.keras", b"no zip", {}, "is no Keras model"),
    ("bad.keras", b"no zip", {"model": "resnet50", "num_classes": 3}, "weights.h5 or .keras.*fetch it again"),
    ("some.npz", b"", {}, "expected one, or model= and num_classes="),
])  # fmt: skip
def test_what_load_model_refuses(tmp_path, name, content, options, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(deeplab_tf.UserError, match=message):
        deeplab_tf.load_model(tmp_path / name, **options)


def test_weights_of_another_network_are_refused(saved):
    with pytest.raises(deeplab_tf.UserError, match="does not fill fc8_voc12/kernel, expected weights of vgg16_largefov with 4"):
        deeplab_tf.load_model(saved / "vgg16_largefov.keras", model="vgg16_largefov", num_classes=4, width=0.02)


def test_all_that_registers_itself_is_imported():
    root = pathlib.Path(deeplab_tf.__file__).parent
    for path in root.rglob("*.py"):
        if "@keras.saving.register_keras_serializable(" in path.read_text():
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            assert name in MODULES or name.startswith("layers."), name


def test_modules_are_attributes():
    code = "import sys, deeplab_tf as dl\nfor name in ({}): assert eval('dl.' + name), name"
    names = [
        "training.losses",
        "models.resnet",
        "models.features",
        "crf.params",
        "datasets.specs",
        "weights.names",
        "layers.atrous",
        "metrics.confusion_matrix",
        "inference.tiles",
        "pages.chart",
        "serving.signatures",
    ]
    python(code.format(", ".join(map(repr, names))))
    with pytest.raises(AttributeError, match="no_such"):
        deeplab_tf.models.no_such  # noqa: B018
