"""Trimap bands against a loop over neighbourhoods, and the curve over widths."""

import numpy as np
import pytest
from oracles import trimap as oracle

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import DEFINITIONS, TrimapCurve, boundary_distance


def _label_map(seed=0, shape=(19, 27)):
    """Blocks of three classes with a few void pixels and a void strip."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 3, (shape[0] // 6 + 1, shape[1] // 6 + 1))
    label = np.kron(small, np.ones((6, 6), int))[: shape[0], : shape[1]].astype(np.uint8)
    label[rng.random(shape) < 0.03] = 255
    label[:, 11] = 255
    return label


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("seed", range(2))
def test_bands_equal_the_loop(definition, seed):
    label = _label_map(seed)
    distance = boundary_distance(label, definition)
    for width in (0, 1, 2, 5):
        expected = oracle.band(label, width, definition, 255)
        np.testing.assert_array_equal((distance >= 1) & (distance <= width), expected)


def test_step_from_a_class_to_void_is_no_label_change():
    label = np.zeros((5, 9), np.uint8)
    label[:, 4] = 255
    label[:, 5:] = 1
    assert boundary_distance(label, "label_change").max() > 9
    np.testing.assert_array_equal(boundary_distance(label, "label_change")[:, 4], 0)
    np.testing.assert_array_equal(boundary_distance(label, "void")[0], [4, 3, 2, 1, 0, 1, 2, 3, 4])


def test_width_one_is_the_two_rows_along_a_boundary():
    label = np.repeat([[0, 0, 0, 1, 1, 1]], 3, axis=0)
    np.testing.assert_array_equal(boundary_distance(label, "label_change")[1], [3, 2, 1, 1, 2, 3])


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_curve_equals_a_matrix_per_width(definition):
    curve = TrimapCurve(3, definition, max_width=40)
    expected = [ConfusionMatrix(3) for _ in range(41)]
    for seed in range(2):
        label = _label_map(seed)
        prediction = np.random.default_rng(seed).integers(0, 3, label.shape)
        curve.update(label, prediction)
        distance = boundary_distance(label, definition)
        for width, counts in enumerate(expected):
            band = (distance >= 1) & (distance <= width)
            counts.update(label[band], prediction[band])
    for width in (0, 1, 7, 40):
        np.testing.assert_array_equal(curve.band(width).matrix, expected[width].matrix)
    np.testing.assert_allclose(curve.mean_iou(), [counts.mean_iou() for counts in expected])
    assert np.isnan(curve.mean_iou()[0])


def test_errors_at_boundaries_show_in_narrow_bands():
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 20:40] = 1
    grown = np.zeros_like(label)
    grown[8:32, 18:42] = 1
    curve = TrimapCurve(2, "label_change", max_width=20)
    curve.update(label, grown)
    values = curve.mean_iou([1, 3, 10, 20])
    assert values == sorted(values) and values[0] < 0.4 < values[-1]


def test_picture_without_a_boundary_adds_nothing():
    curve = TrimapCurve(2, "void", max_width=3)
    curve.update(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
    assert curve.band(3).matrix.sum() == 0


def test_voc_masks_have_void_contours(test_data):
    """On VOC val the published band is not empty and grows with its width."""
    from PIL import Image

    path = sorted((test_data / "data/VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))[0]
    label = np.array(Image.open(path))
    distance = boundary_distance(label, "void")
    sizes = [np.count_nonzero((distance >= 1) & (distance <= width)) for width in (1, 5, 20)]
    assert 0 < sizes[0] < sizes[1] < sizes[2] < label.size


def test_refuses():
    with pytest.raises(ValueError, match="definition is 'edge'"):
        TrimapCurve(2, "edge")
    with pytest.raises(ValueError, match="max_width"):
        TrimapCurve(2, "void", max_width=0)
    with pytest.raises(ValueError, match=r"label has shape \[2, 2, 1\]"):
        boundary_distance(np.zeros((2, 2, 1), int), "void")
    with pytest.raises(ValueError, match="0..3"):
        TrimapCurve(2, "void", max_width=3).band(4)
