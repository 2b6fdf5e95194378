"""The real ImageNet weights in the zoo: exact features, and features that tell real things apart."""

import collections
import json

import keras
import numpy as np
import pytest
from PIL import Image

from deeplab_tf.models.deeplab import build_model
from deeplab_tf.weights import load_weights

MEAN_RGB = np.array([122.675, 116.669, 104.008], np.float32)
SIDE = 161


@pytest.fixture(scope="module")
def resnet50(test_data):
    """ResNet-50 with the ImageNet weights, at its classifier's stride."""
    model = build_model("resnet50", output_stride=32)
    report = load_weights(model, test_data / "weights/resnet50_notop_imagenet_fp16.npz")
    assert len(report.loaded) == 53 * 5 and not report.skipped
    return keras.Model(model.input, model.get_layer("res5c").output)


def test_resnet50_equals_a_plain_net_with_biases_and_epsilon_1e_3(resnet50, test_data):
    """The file's own arrangement, unfolded: biased convolutions, then batch norm with epsilon 1e-3."""
    weights = np.load(test_data / "weights/resnet50_notop_imagenet_fp16.npz")
    picture = np.asarray(Image.open(_voc_pictures(test_data)[0]).convert("RGB"), np.float32)[None, :161, :193]
    expected = _plain_resnet50((picture - MEAN_RGB)[..., ::-1], weights)
    features = np.asarray(resnet50(picture))
    assert features.shape == expected.shape == (1, 6, 7, 2048)
    assert expected.std() > 0.1
    assert np.abs(features - expected).max() < 1e-4 * expected.std()


def _plain_resnet50(x, weights):
    def conv_bn(x, conv, bn, strides=1, padding="same"):
        kernel, bias = (weights[f"{conv}/{part}"].astype(np.float32) for part in ("kernel", "bias"))
        x = keras.ops.conv(x, kernel, strides, padding) + bias
        gamma, beta, mean, variance = (weights[f"{bn}/{p}"] for p in ("gamma", "beta", "moving_mean", "moving_variance"))
        return keras.ops.batch_normalization(x, mean, variance, -1, beta, gamma, epsilon=1e-3)

    def branch(x, block, part, strides=1):
        return conv_bn(x, f"res{block}_branch{part}", f"bn{block}_branch{part}", strides)

    relu = keras.ops.relu
    x = keras.ops.pad(x, [[0, 0], [3, 3], [3, 3], [0, 0]])
    x = relu(conv_bn(x, "conv1", "bn_conv1", 2, "valid"))
    x = keras.ops.max_pool(keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2)  # after ReLU 0 never wins wrongly
    for stage, blocks in ((2, "abc"), (3, "abcd"), (4, "abcdef"), (5, "abc")):
        for block in blocks:
            strides = 2 if block == "a" and stage > 2 else 1
            shortcut = branch(x, f"{stage}{block}", "1", strides) if block == "a" else x
            y = relu(branch(x, f"{stage}{block}", "2a", strides))
            y = branch(relu(branch(y, f"{stage}{block}", "2b")), f"{stage}{block}", "2c")
            x = relu(shortcut + y)
    return np.asarray(x)


def test_resnet50_still_knows_what_it_sees(resnet50, test_data):
    """Pooled res5c features of things cut out of COCO pictures: the nearest one in another picture is of the same class."""
    crops, classes, pictures = _things(test_data)
    features = np.concatenate([np.asarray(resnet50(crops[i : i + 8])).mean(axis=(1, 2)) for i in range(0, len(crops), 8)])
    right, chance = _nearest_same_class(features, classes, pictures)
    print(f"nearest neighbour of the same class: {right:.2f}, chance {chance:.2f}, {len(classes)} things")
    assert right > 3 * chance and right > 0.5
    pixels = crops[:, 8::16, 8::16].reshape(len(crops), -1)
    assert right > 1.5 * _nearest_same_class(pixels - pixels.mean(axis=0), classes, pictures)[0]


def _nearest_same_class(features, classes, pictures):
    """Share of things whose most similar one (cosine, another picture) is of their class, and what a blind draw gives."""
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = features @ features.T
    other = pictures[:, None] != pictures[None]
    similarity[~other] = -np.inf
    same = classes[:, None] == classes[None]
    right = same[np.arange(len(classes)), similarity.argmax(axis=1)]
    return right.mean(), ((same & other).sum(axis=1) / other.sum(axis=1)).mean()


def _things(test_data, per_class=8):
    """Square crops [n, SIDE, SIDE, 3], class ids and picture ids of large things whose class is in three pictures or more."""
    found = collections.defaultdict(list)
    for split in ("train", "val"):
        annotations = json.loads(next((test_data / "data/coco_tiny/annotations").glob(f"*{split}*.json")).read_text())
        pictures = {picture["id"]: picture for picture in annotations["images"]}
        for thing in annotations["annotations"]:
            picture = pictures[thing["image_id"]]
            x, y, width, height = thing["bbox"]
            if not thing["iscrowd"] and width * height > 0.06 * picture["width"] * picture["height"]:
                file = test_data / f"data/coco_tiny/{split}2017/{picture['file_name']}"
                found[thing["category_id"]].append((file, (x, y, x + width, y + height)))
    crops, classes, names = [], [], []
    for category, things in sorted(found.items()):
        things = list(dict(things).items())  # one thing of a class per picture
        if len(things) < 3:
            continue
        for file, box in things[:per_class]:
            crops.append(np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE), box=box), np.float32))
            classes.append(category)
            names.append(file.name)
    return np.stack(crops), np.array(classes), np.array(names)


def _voc_pictures(test_data):
    return sorted((test_data / "data/VOCdevkit/VOC2012/JPEGImages").glob("*.jpg"))


def test_vgg16_trunk_equals_a_plain_net(test_data):
    """conv1_1 to conv3_3 of the real VGG-16, with the pools Caffe's DeepLab has (3x3, stride 2, padding 1)."""
    weights = np.load(test_data / "weights/vgg16_notop_imagenet_fp16.npz")
    model = build_model("vgg16_largefov")
    report = load_weights(model, test_data / "weights/vgg16_notop_imagenet_fp16.npz")
    assert len(report.loaded) == 26 and len(report.reinitialised) == 6
    picture = np.asarray(Image.open(_voc_pictures(test_data)[1]).convert("RGB"), np.float32)[None, :97, :129]
    x = keras.ops.convert_to_tensor((picture - MEAN_RGB)[..., ::-1])
    for block, count in ((1, 2), (2, 2), (3, 3)):
        for i in range(1, count + 1):
            kernel, bias = (weights[f"block{block}_conv{i}/{part}"].astype(np.float32) for part in ("kernel", "bias"))
            x = keras.ops.relu(keras.ops.conv(x, kernel, 1, "same") + bias)
        if block < 3:
            x = keras.ops.max_pool(keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2)
    got = np.asarray(keras.Model(model.input, model.get_layer("conv3_3").output)(picture))
    assert np.abs(got - np.asarray(x)).max() < 1e-4 * np.asarray(x).std()
