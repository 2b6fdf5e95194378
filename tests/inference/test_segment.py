"""`segment` against the rule done step by step in NumPy, its invariances, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import inference as oracle

from deeplab_tf.inference.predictor import padded_size, predictor_for
from deeplab_tf.inference.segment import segment
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.models.multi_scale import MultiScale

MSC = (0.5, 0.75, 1.0)


def _logits_of(model):
    return lambda padded: model(padded[None]).numpy()[0]


@pytest.mark.parametrize("size", [(17, 25), (20, 31), (1, 1), (3, 42), (24, 9)])
def test_equals_the_rule_at_any_size(make_model, picture, size):
    model, image = make_model(), picture(*size)
    probabilities = segment(model, image)
    assert probabilities.dtype == np.float32 and probabilities.shape == (*size, 4)
    np.testing.assert_allclose(probabilities, oracle.segment(_logits_of(model), image), atol=2e-5)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("stride", [4, 16, 32])
def test_other_output_strides(make_model, picture, stride):
    model, image = make_model(stride=stride), picture(22, 37)
    expected = oracle.segment(_logits_of(model), image, stride=stride)
    np.testing.assert_allclose(segment(model, image), expected, atol=2e-5)


@pytest.mark.parametrize("scales", [MSC, (1.0, 1.25)])
def test_several_scales_are_fused_by_max_of_logits(make_model, picture, scales):
    model, image = make_model(), picture(30, 41)
    expected = oracle.segment(_logits_of(model), image, scales=scales)
    np.testing.assert_allclose(segment(model, image, scales=scales), expected, atol=1e-4)


def test_multi_scale_network_runs_with_its_own_scales(make_model, picture):
    model, image = make_model(), picture(30, 41)
    fused = segment(model, image, scales=MSC)
    np.testing.assert_allclose(segment(MultiScale(model, MSC), image), fused, atol=1e-6)
    other = segment(model, image, scales=(0.5, 1.0))
    np.testing.assert_allclose(segment(MultiScale(model, MSC), image, scales=(0.5, 1.0)), other, atol=1e-6)


def test_flip_is_the_mean_over_the_mirror_image(make_model, picture):
    model, image = make_model(), picture(21, 30)
    mirrored = segment(model, image[:, ::-1])[:, ::-1]
    flipped = segment(model, image, flip=True)
    np.testing.assert_allclose(flipped, (segment(model, image) + mirrored) / 2, atol=1e-6)
    np.testing.assert_allclose(segment(model, image[:, ::-1], flip=True)[:, ::-1], flipped, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 99), (30, 75), (75, 30)])
@pytest.mark.parametrize("tile", [33, (40, 25), Tiles((33, 41), (17, 9)), Tiles((17, 17), (0, 0))])
def test_tiles_equal_the_whole_picture_for_a_net_that_sees_one_pixel(make_model, picture, size, tile):
    """Tiles lie on the whole picture's grid, so only the field of view can make a difference."""
    model, image = make_model(kernel_size=1), picture(*size)
    np.testing.assert_allclose(segment(model, image, tile=tile), segment(model, image), atol=1e-5)


def test_tiles_of_a_net_that_sees_more_differ_only_near_their_borders(make_model, picture):
    model, image = make_model(kernel_size=9), picture(33, 97)
    difference = np.abs(segment(model, image, tile=Tiles((33, 49), (1, 1))) - segment(model, image)).max(axis=(0, 2))
    assert difference[:40].max() < 1e-5 and difference[57:].max() < 1e-5


def test_tiles_that_overlap_by_the_field_of_view_give_the_whole_pictures_labels(picture):
    """Of noise and an untrained net, whose classes are close: with weights that fall linearly 98.4 % are equal."""
    from deeplab_tf.models.deeplab import build_model

    model, image = build_model("vgg16_largefov", num_classes=5, width=1 / 16), picture(505, 905)
    whole = segment(model, image)
    tiled = segment(model, image, tile=Tiles((505, 657), (0, 419)))
    assert np.mean(tiled.argmax(-1) == whole.argmax(-1)) > 0.998


def test_large_tile_leaves_the_picture_whole(make_model, picture):
    model, image = make_model(), picture(20, 31)
    np.testing.assert_array_equal(segment(model, image, tile=(20, 31)), segment(model, image))


@pytest.mark.parametrize("height, width, side, overlap", [(50, 91, 33, 8), (9, 200, 17, 16), (128, 33, 33, 0)])
def test_tiles_cover_every_pixel_and_overlap_as_asked(height, width, side, overlap):
    tiles = Tiles.of(side, overlap)
    covered = np.zeros((height, width), int)
    spans = set()
    for rows, columns in tiles.cut(height, width, 8):
        covered[rows, columns] += 1
        spans.add((columns.start, columns.stop))
        assert rows.start % 8 == columns.start % 8 == 0
        assert rows.stop - rows.start <= side and columns.stop - columns.start <= side
    assert covered.min() >= 1
    ordered = sorted(spans)
    assert all(left[1] - right[0] >= min(overlap, side - 8) for left, right in zip(ordered, ordered[1:], strict=False))


def test_weights_fall_over_the_overlap():
    weights = Tiles((9, 33), (2, 3)).weights(9, 12)
    np.testing.assert_allclose(weights[4], (np.float32([1, 2, 3, 4, 4, 4, 4, 4, 4, 3, 2, 1]) / 4) ** 4)
    np.testing.assert_allclose(weights[:, 5], (np.float32([1, 2, 3, 3, 3, 3, 3, 2, 1]) / 3) ** 4)


def test_crf_gets_the_real_picture_and_the_probabilities(make_model, picture):
    model, image, seen = make_model(), picture(12, 15), []

    def crf(given, probabilities):
        seen.append((given, probabilities))
        return probabilities[..., ::-1]

    np.testing.assert_array_equal(segment(model, image, crf=crf), segment(model, image)[..., ::-1])
    np.testing.assert_array_equal(seen[0][0], image)
    assert seen[0][0].dtype == np.uint8


def test_many_sizes_are_traced_once_and_follow_the_weights(make_model, picture):
    model = make_model()
    for side in range(10, 60, 7):
        segment(model, picture(side, side + 5))
    assert predictor_for(model).run.experimental_get_tracing_count() == 1
    before = segment(model, picture(12, 15))
    model.set_weights([weight * 2 for weight in model.get_weights()])
    assert np.abs(segment(model, picture(12, 15)) - before).max() > 0.01


def test_kept_predictors_stay_out_of_what_is_saved(make_model, picture, tmp_path):
    model, image = make_model(), picture(12, 15)
    expected = segment(model, image)
    model.save(tmp_path / "model.keras")
    tf.saved_model.save(model, str(tmp_path / "saved"))
    assert not hasattr(tf.saved_model.load(str(tmp_path / "saved")), "_deeplab_tf_predictors")
    np.testing.assert_array_equal(segment(keras.models.load_model(tmp_path / "model.keras"), image), expected)


def test_network_of_the_zoo(picture):
    from deeplab_tf.models.deeplab import build_model

    model, image = build_model("vgg16_largefov", num_classes=5, width=1 / 16), picture(30, 45)
    expected = oracle.segment(_logits_of(model), image)
    np.testing.assert_allclose(segment(model, image), expected, atol=1e-4)


def test_padded_size():
    assert [padded_size(n, 8) for n in (1, 2, 9, 10, 321)] == [1, 9, 9, 17, 321]
    assert [padded_size(n, 32) for n in (1, 33, 34, 321, 322)] == [1, 33, 65, 321, 353]


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((5, 6), np.uint8), r"image is uint8 \[5, 6\].*grey.*stack"),
        (np.zeros((5, 6, 1), np.uint8), "grey"),
        (np.zeros((5, 6, 4), np.uint8), r"alpha.*\[\.\.\., :3\]"),
        (np.zeros((5, 6, 3), np.float32), "image is float32.*uint8"),
        (np.zeros((1, 5, 6, 3), np.uint8), "batch"),
        (np.zeros((0, 6, 3), np.uint8), r"\[0, 6, 3\]"),
    ],
)
def test_refuses_what_is_no_rgb_picture(make_model, image, message):
    with pytest.raises(ValueError, match=message):
        segment(make_model(), image)


def test_refuses_scales_tiles_and_models_that_make_no_sense(make_model, picture):
    model, image = make_model(), picture(40, 50)
    for scales in ((), (0.0, 1.0), (-1.0,)):
        with pytest.raises(ValueError, match="scales"):
            segment(model, image, scales=scales)
    with pytest.raises(ValueError, match="sides above 8"):
        segment(model, image, tile=8)
    with pytest.raises(ValueError, match="tile is"):
        segment(model, image, tile=(1, 2, 3))
    with pytest.raises(ValueError, match="overlap"):
        Tiles((16, 16), (16, 0))
    classifier = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ValueError, match="expected a score map"):
        segment(classifier, image)
