"""What the CRF layer and the CRF loss are for, in small: weights found from a bad start, scribbles spread to the edges."""

import dataclasses

import cv2
import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.datasets.miniature import render
from deeplab_tf.datasets.scribbles import scribbles
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.models.mean_field_crf import MeanFieldCRF
from deeplab_tf.training.crf_loss import dense_crf_loss
from deeplab_tf.training.losses import segmentation_loss

CLASSES, SIDE, STRIDE = 6, 97, 8
RATE = 0.25 * SIDE**2  # the losses are means over the pixels


def scene(seed):
    """A piece of a rendered scene, its mask and logits as coarse and unsure as those of a network of stride 8."""
    image, label = render(seed)
    image, label = image[30 : 30 + SIDE, 40 : 40 + SIDE], label[30 : 30 + SIDE, 40 : 40 + SIDE]
    truth = np.eye(CLASSES, dtype=np.float32)[np.where(label == 255, 0, label)]
    coarse = cv2.blur(truth, (STRIDE, STRIDE))[::STRIDE, ::STRIDE]
    coarse += np.random.default_rng(seed).normal(scale=0.5, size=coarse.shape).astype(np.float32)
    return image, 4 * cv2.resize(coarse, (SIDE, SIDE)), label


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def mean_iou(maps, labels):
    counts = ConfusionMatrix(CLASSES)
    for one, label in zip(maps, labels, strict=True):
        counts.update(label, np.asarray(one).argmax(axis=-1))
    return counts.mean_iou()


def test_weights_trained_from_a_bad_start_beat_the_published_ones_on_other_pictures():
    params = CrfParams(w1=0.1, sigma_alpha=60, sigma_beta=6, w2=0.1, sigma_gamma=3, iterations=5)
    images, logits, labels = (np.stack(part) for part in zip(*map(scene, range(8)), strict=True))
    layer, optimizer, losses = MeanFieldCRF(params, threads=1), keras.optimizers.Adam(0.2), []
    for _ in range(8):
        for part in (slice(0, 4), slice(4, 8)):
            with tf.GradientTape() as tape:
                loss = segmentation_loss(labels[part], layer(images[part], logits[part]))
            optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
            losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[1]
    images, logits, labels = zip(*map(scene, range(100, 108)), strict=True)

    def judged(crf):
        return mean_iou([crf(image, softmax(one)) for image, one in zip(images, logits, strict=True)], labels)

    trained = judged(layer.dense_crf())
    assert trained > judged(DenseCRF(params, threads=1)) + 0.2
    assert trained > judged(DenseCRF(dataclasses.replace(params, w1=4.0, w2=3.0), threads=1))


def test_the_loss_carries_scribbles_to_the_edges_of_the_picture():
    image, _, label = scene(7)
    strokes = scribbles(label, 0.03, seed=1)

    def descended(weight):
        """Logits of their own for every pixel, fitted to the strokes."""
        logits = tf.Variable(0.01 * tf.random.stateless_normal((1, SIDE, SIDE, CLASSES), (0, 0)))
        for _ in range(40):
            with tf.GradientTape() as tape:
                loss = segmentation_loss(strokes[None], logits)
                if weight:
                    loss += weight * dense_crf_loss(logits, image[None], sigma_alpha=30.0, stride=1, threads=1)
            logits.assign_sub(RATE * tape.gradient(loss, logits))
        return mean_iou(logits.numpy(), label[None])

    alone, carried = descended(0.0), descended(2.0)
    assert carried > alone + 0.2
