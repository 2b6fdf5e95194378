"""The loss against its NumPy definition, and what must not change it."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.layers import resize_align_corners
from deeplab_tf.training.losses import SegmentationLoss, multi_scale_losses, segmentation_loss, subsample_labels
from deeplab_tf.training.mean_iou import MeanIoU
from tests.oracles.solver import cross_entropy

RANDOM = np.random.default_rng(3)


def case(side=33, classes=5, batch=2, void=0.3):
    labels = RANDOM.integers(0, classes, (batch, side, side + 8)).astype(np.uint8)
    labels[RANDOM.random(labels.shape) < void] = 255
    rows, columns = (side - 1) // 8 + 1, (side + 7) // 8 + 1
    return labels, RANDOM.normal(0, 3, (batch, rows, columns, classes)).astype(np.float32)


@pytest.mark.parametrize("class_weights", [None, (0.5, 1.0, 2.0, 3.5, 0.1)])
def test_equals_the_definition(class_weights):
    labels, logits = case()
    expected = cross_entropy(labels[:, ::8, ::8], logits, class_weights=class_weights)
    got = float(segmentation_loss(labels, logits, class_weights=class_weights))
    assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weights", [[1] * 9, [1, 2]])
def test_weights_of_another_number_of_classes_are_refused(weights):
    for loss in (SegmentationLoss(class_weights=weights), functools.partial(segmentation_loss, class_weights=weights)):
        with pytest.raises(ValueError, match=f"class_weights: got {len(weights)} for logits of 5 classes"):
            loss(*case())


def test_void_has_neither_loss_nor_gradient():
    labels, logits = case(void=0.5)
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = segmentation_loss(labels, logits)
    gradient = tape.gradient(loss, logits).numpy()
    void = labels[:, ::8, ::8] == 255
    assert void.any() and np.all(gradient[void] == 0) and np.all(np.abs(gradient[~void]).sum(-1) > 0)
    changed = np.where(void[..., None], 50.0, logits.numpy())
    assert float(segmentation_loss(labels, changed)) == pytest.approx(float(loss), rel=1e-6)


def test_nothing_but_void_is_zero():
    labels, logits = case()
    assert float(segmentation_loss(np.full_like(labels, 255), logits)) == 0.0


@pytest.mark.parametrize("run", [tf.function, lambda eager: eager], ids=["graph", "eager"])
@pytest.mark.parametrize("loss", [segmentation_loss, SegmentationLoss(ignore_label=None)], ids=["function", "class"])
def test_without_void_every_position_counts(loss, run):
    labels, logits = case(void=0)
    options = {"ignore_label": None} if loss is segmentation_loss else {}
    got = run(lambda *given: loss(*given, **options))(tf.constant(labels), tf.constant(logits))
    assert float(got) == pytest.approx(cross_entropy(labels[:, ::8, ::8], logits, ignore_label=None), rel=1e-5)


@pytest.mark.parametrize("judge", [SegmentationLoss(), MeanIoU(5).update_state], ids=["loss", "metric"])
def test_one_hot_labels_are_refused(judge):
    """Channel 0 would be taken for ids."""
    labels, logits = case(void=0)
    with pytest.raises(ValueError, match=r"got labels of shape \(2, 33, 41, 5\), expected class ids"):
        judge(np.eye(5, dtype=np.uint8)[labels], logits)


def test_adding_a_constant_to_a_position_changes_nothing():
    labels, logits = case()
    shifted = logits + RANDOM.normal(0, 5, logits.shape[:-1] + (1,)).astype(np.float32)
    assert float(segmentation_loss(labels, shifted)) == pytest.approx(float(segmentation_loss(labels, logits)), rel=1e-5)


def test_labels_of_321_are_every_eighth():
    labels = RANDOM.integers(0, 21, (1, 321, 321)).astype(np.uint8)
    assert np.array_equal(subsample_labels(labels, [41, 41]), labels[:, ::8, ::8])
    assert np.array_equal(subsample_labels(labels, [21, 21]), labels[:, ::16, ::16])


@pytest.mark.parametrize("side, small", [(321, 31), (321, 30), (73, 6), (72, 9)])
def test_labels_that_do_not_sub_sample_are_refused(side, small):
    with pytest.raises(tf.errors.InvalidArgumentError, match="8n\\+1"):
        subsample_labels(np.zeros((1, side, side), np.uint8), [small, small])


def test_the_four_published_losses():
    """Scale 1/2 raw against every 16th label, 3/4 up-sampled, 1 and the fused one against every 8th."""
    labels = RANDOM.integers(0, 4, (1, 97, 97)).astype(np.uint8)
    own = [RANDOM.normal(0, 2, (1, side, side, 4)).astype(np.float32) for side in (7, 10, 13)]
    up = [np.asarray(resize_align_corners(logits, (13, 13))) for logits in own]
    fused = np.max(up, axis=0)
    got = [float(loss) for loss in multi_scale_losses(labels, [*own, fused], (0.5, 0.75, 1.0))]
    eighth = labels[:, ::8, ::8]
    expected = [
        cross_entropy(labels[:, ::16, ::16], own[0]),
        cross_entropy(eighth, up[1]),
        cross_entropy(eighth, own[2]),
        cross_entropy(eighth, fused),
    ]
    assert got == pytest.approx(expected, rel=1e-5)
