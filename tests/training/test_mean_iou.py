"""The Keras metric against the confusion matrix of pictures that are segmented one by one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deeplab_tf as dl
from deeplab_tf.layers import resize_align_corners

RANDOM = np.random.default_rng(4)


def batches(count=3, size=2, classes=4):
    for _ in range(count):
        labels = RANDOM.integers(0, classes - 1, (size, 33, 41)).astype(np.uint8)  # the last class is predicted only
        labels[RANDOM.random(labels.shape) < 0.2] = 255
        yield RANDOM.uniform(0, 255, (size, 33, 41, 3)).astype(np.float32), labels


@pytest.mark.parametrize("trailing", [False, True])
def test_equals_the_confusion_matrix(trailing):
    metric, counts = dl.MeanIoU(4), dl.ConfusionMatrix(4)
    for _, labels in batches():
        logits = RANDOM.normal(size=(2, 5, 6, 4)).astype(np.float32)
        metric.update_state(labels[..., None] if trailing else labels, logits)
        counts.update(labels, np.argmax(resize_align_corners(logits, labels.shape[1:3]), axis=-1))
    assert float(metric.result()) == pytest.approx(counts.mean_iou(), abs=1e-6) and 0 < counts.mean_iou() < 1
    assert np.array_equal(metric.confusion_matrix().matrix, counts.matrix)
    metric.reset_state()
    assert np.isnan(metric.result())


def test_in_fit_and_evaluate():
    data = list(batches())
    model = dl.build_model("vgg16_largefov", 4, width=0.02)
    model.compile(dl.CaffeSGD(1e-3), loss=dl.segmentation_loss, metrics=[dl.MeanIoU(4)])
    assert "mean_iou" in model.fit(*data[0], verbose=0).history
    images, labels = (np.concatenate(parts) for parts in zip(*data, strict=True))
    found = model.evaluate(images, labels, batch_size=2, verbose=0, return_dict=True)["mean_iou"]
    counts = dl.ConfusionMatrix(4)
    for image, label in zip(images, labels, strict=True):
        logits = resize_align_corners(model(image[None]), label.shape)
        counts.update(label, np.argmax(logits[0], axis=-1))
    assert found == pytest.approx(counts.mean_iou(), abs=1e-6)


def test_a_label_out_of_range_and_weights_are_refused():
    metric = dl.MeanIoU(3)
    logits = np.zeros((1, 2, 2, 3), np.float32)
    with pytest.raises(Exception, match="neither a class nor void"):
        metric.update_state(np.full((1, 9, 9), 7, np.uint8), logits)
    with pytest.raises(ValueError, match="expected none"):
        metric.update_state(np.zeros((1, 9, 9), np.uint8), logits, sample_weight=np.ones(1))


@pytest.mark.parametrize("ignored", [255, None])
@pytest.mark.parametrize("label", [-1, 3])
def test_what_is_neither_a_class_nor_void_is_refused_in_graphs_too(ignored, label):
    metric = dl.MeanIoU(3, ignore_label=ignored)
    for update in (metric.update_state, tf.function(metric.update_state)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="neither a class nor void"):
            update(tf.fill([1, 9, 9], label), tf.zeros([1, 2, 2, 3]))


@pytest.mark.parametrize("channels", [2, 5])
def test_logits_of_another_number_of_classes_are_refused(channels):
    """They would be counted in other classes' cells."""
    with pytest.raises(ValueError, match=f"got logits of {channels} channels, expected 3"):
        dl.MeanIoU(3).update_state(np.zeros((1, 9, 9), np.uint8), np.zeros((1, 2, 2, channels), np.float32))


def test_void_may_be_counted_or_another_value():
    labels, logits = np.array([[[0, 1], [9, 1]]]), np.eye(2, dtype=np.float32)[None, [[0, 1], [0, 0]]]
    for ignored in (9, None):
        metric = dl.MeanIoU(2, ignore_label=ignored)
        metric.update_state(np.where(labels == 9, 9 if ignored else 0, labels), logits)
        expected = {9: (1 / 2 + 1 / 2) / 2, None: (2 / 3 + 1 / 2) / 2}[ignored]
        assert float(metric.result()) == pytest.approx(expected)
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric)).ignore_label is None
