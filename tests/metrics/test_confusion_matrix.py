"""ConfusionMatrix against loops over pixel sets, its conventions, and what it refuses."""

import numpy as np
import pytest
from oracles import metrics as oracle

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix


def _pair(seed=0, shape=(23, 31), num_classes=5, ignore_label=255):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.2] = ignore_label
    predictions = rng.integers(0, num_classes - 1, shape).astype(np.int64)
    return labels, predictions


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_loop_over_pixels(seed):
    labels, predictions = _pair(seed)
    counts = ConfusionMatrix(6)
    counts.update(labels, predictions)
    assert counts.matrix.dtype == np.int64
    np.testing.assert_array_equal(counts.matrix, oracle.confusion(labels, predictions, 6, 255))
    np.testing.assert_allclose(counts.iou(), oracle.iou(labels, predictions, 6, 255))


def test_rows_are_the_truth():
    counts = ConfusionMatrix(3)
    counts.update(np.array([0, 0, 1]), np.array([2, 2, 1]))
    np.testing.assert_array_equal(counts.matrix, [[0, 0, 2], [0, 1, 0], [0, 0, 0]])


def test_known_values():
    counts = ConfusionMatrix.from_matrix(np.array([[6, 2, 0], [1, 1, 0], [0, 0, 0]]))
    np.testing.assert_allclose(counts.iou(), [6 / 9, 1 / 4, np.nan])
    assert counts.mean_iou() == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert counts.mean_iou(empty="one") == pytest.approx((6 / 9 + 1 / 4 + 1) / 3)
    assert counts.pixel_accuracy() == pytest.approx(7 / 10)
    np.testing.assert_allclose(counts.class_accuracy(), [6 / 8, 1 / 2, np.nan])
    assert counts.mean_accuracy() == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert counts.frequency_weighted_iou() == pytest.approx(0.8 * 6 / 9 + 0.2 * 1 / 4)
    np.testing.assert_allclose(counts.class_frequency(), [0.8, 0.2, 0])
    np.testing.assert_allclose(counts.predicted_frequency(), [0.7, 0.3, 0])


def test_cityscapes_formula():
    """The IoU of cityscapesScripts' evalPixelLevelSemanticLabeling.getIouScoreForLabel, written as it is there."""
    labels, predictions = _pair(7, num_classes=4)
    counts = ConfusionMatrix(4)
    counts.update(labels, predictions)
    matrix = counts.matrix
    for label in range(4):
        tp = np.longlong(matrix[label, label])
        fn = np.longlong(matrix[label, :].sum()) - tp
        not_ignored = [other for other in range(4) if other != label]
        fp = np.longlong(matrix[not_ignored, label].sum())
        assert counts.iou()[label] == pytest.approx(float(tp) / (tp + fp + fn))


def test_one_matrix_over_the_set_is_not_the_mean_of_pictures():
    counts = ConfusionMatrix(2)
    parts = []
    for labels, predictions in ((np.zeros(8, int), np.zeros(8, int)), (np.array([0, 1]), np.array([1, 1]))):
        part = ConfusionMatrix(2)
        part.update(labels, predictions)
        counts.update(labels, predictions)
        parts.append(part)
    np.testing.assert_array_equal((parts[0] + parts[1]).matrix, counts.matrix)
    assert counts.mean_iou() == pytest.approx((8 / 9 + 1 / 2) / 2)
    assert counts.mean_iou() != pytest.approx(np.mean([part.mean_iou() for part in parts]))


def test_invariant_to_the_order_of_pixels_and_equivariant_to_renaming():
    labels, predictions = _pair(3, num_classes=5)
    counts = ConfusionMatrix(5)
    counts.update(labels, predictions)
    shuffle = np.random.default_rng(1).permutation(labels.size)
    shuffled = ConfusionMatrix(5)
    shuffled.update(labels.ravel()[shuffle], predictions.ravel()[shuffle])
    np.testing.assert_array_equal(counts.matrix, shuffled.matrix)
    names = np.array([3, 0, 4, 1, 2])
    renamed = ConfusionMatrix(5)
    renamed.update(np.where(labels == 255, 255, names[np.minimum(labels, 4)]), names[predictions])
    np.testing.assert_allclose(renamed.iou()[names], counts.iou())


def test_void_pixels_may_carry_any_prediction_and_255_may_be_a_class():
    counts = ConfusionMatrix(2)
    counts.update(np.array([0, 255], np.uint8), np.array([0, 77], np.uint8))
    assert counts.matrix.sum() == 1
    counts = ConfusionMatrix(300, ignore_label=None)
    counts.update(np.array([255, 299]), np.array([255, 255]))
    assert counts.matrix[255, 255] == 1 and counts.matrix[299, 255] == 1


def test_empty_matrix_is_nan_not_zero():
    counts = ConfusionMatrix(3)
    counts.update(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    values = (
        counts.mean_iou(),
        counts.mean_iou(empty="one"),
        counts.pixel_accuracy(),
        counts.mean_accuracy(),
    )
    assert np.isnan(values).all() and np.isnan(counts.frequency_weighted_iou())


@pytest.mark.parametrize(
    "labels, predictions, message",
    [
        (
            np.zeros((2, 3), int),
            np.zeros((3, 2), int),
            r"labels have shape \[2, 3\] and predictions \[3, 2\]",
        ),
        (np.zeros(3), np.zeros(3, int), "labels are float64"),
        (np.zeros(3, int), np.zeros(3, np.float32), "predictions are float32"),
        (np.zeros(3, bool), np.zeros(3, int), "labels are bool"),
        (np.array([0, 4]), np.array([0, 0]), r"labels hold the id 4, expected 0..3 or 255 \(ignored\)"),
        (np.array([0, -1]), np.array([0, 0]), "labels hold the id -1"),
        (np.array([0, 1]), np.array([0, 255]), "predictions hold the id 255, expected 0..3"),
    ],
)
def test_refuses(labels, predictions, message):
    counts = ConfusionMatrix(4)
    with pytest.raises(ValueError, match=message):
        counts.update(labels, predictions)
    assert counts.matrix.sum() == 0


def test_refuses_to_add_unlike_matrices_and_unknown_conventions():
    with pytest.raises(ValueError, match="3 classes"):
        ConfusionMatrix(2) + ConfusionMatrix(3)
    with pytest.raises(ValueError, match="skip"):
        ConfusionMatrix(2).mean_iou(empty="zero")
    with pytest.raises(ValueError, match="num_classes"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match="integers"):
        ConfusionMatrix.from_matrix(np.eye(2))


def test_ignored_classes_are_void_but_predicting_them_is_a_mistake():
    """Equal to labels of these classes turned void; their column still counts against the others; the mean leaves them out."""
    random = np.random.default_rng(8)
    labels, predictions = random.integers(0, 5, (2, 40, 30))
    voided = np.where(np.isin(labels, (1, 3)), 255, labels)
    all_of_it, expected = ConfusionMatrix(5), ConfusionMatrix(5)
    all_of_it.update(labels, predictions)
    expected.update(voided, predictions)
    found = all_of_it.ignoring((3, 1))
    assert np.array_equal(found.matrix, expected.matrix) and not np.array_equal(found.matrix, all_of_it.matrix)
    assert np.array_equal(np.isnan(found.iou()), [False, True, False, True, False])
    kept = [0, 2, 4]
    assert np.array_equal(found.iou()[kept], expected.iou()[kept])
    assert found.mean_iou() == found.mean_iou("one") == pytest.approx(expected.iou()[kept].mean())
    assert found.pixel_accuracy() == expected.pixel_accuracy() and expected.mean_iou() < found.mean_iou()
    found.update(labels, predictions)
    assert np.array_equal(found.matrix, 2 * expected.matrix)
    assert (found + found).ignored_classes == (1, 3)
    with pytest.raises(ValueError, match="ignored"):
        found + expected
