"""Properties of the augmentation, on pairs whose picture spells out its own label."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_tf.datasets import augmentation
from deeplab_tf.published import MEAN_RGB

CROP = 33
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)
DRAWS = st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=4, max_size=4)
SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))
IDS = np.array([0, 1, 7, 20, 255], np.uint8)


def pair(size, seed, block=1):
    """Blocks of ids, and a picture whose red is 10 x the id's number, green and blue fixed."""
    random = np.random.default_rng(seed)
    numbers = np.kron(random.integers(0, len(IDS), -(-np.array(size) // block)), np.ones((block, block), int))
    numbers = numbers[: size[0], : size[1]]
    image = np.stack([numbers * 10, np.full(size, 77), np.full(size, 133)], -1).astype(np.uint8)
    return image, IDS[numbers]


@tf.function(reduce_retracing=True)
def _augment(image, label, draws, scaled):
    crop = lambda scales: augmentation.augment(image, label, draws, crop_size=CROP, scales=scales)  # noqa: E731
    return tf.cond(scaled, lambda: crop(SCALES), lambda: crop((1.0,)))


def augment(image, label, draws, scaled):
    out = _augment(tf.constant(image), tf.constant(label), tf.constant(draws, tf.float32), tf.constant(scaled))
    return [value.numpy() for value in out]


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 99), DRAWS, st.booleans())
def test_ids_are_never_invented_and_padding_is_void(size, seed, draws, scaled):
    image, label = pair(size, seed)
    out_image, out_label = augment(image, label, draws, scaled)
    assert out_image.shape == (CROP, CROP, 3) and out_label.shape == (CROP, CROP)
    assert out_image.dtype == np.float32 and out_label.dtype == np.uint8
    assert set(np.unique(out_label)) <= set(np.unique(label)) | {255}
    padding = np.all(out_image == np.float32(MEAN_RGB), -1)
    assert (out_label[padding] == 255).all()
    assert np.allclose(out_image[~padding][:, 1:], (77, 133), atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 99), DRAWS)
def test_picture_and_mask_stay_aligned_pixel_for_pixel(size, seed, draws):
    image, label = pair(size, seed)
    out_image, out_label = augment(image, label, draws, False)
    real = out_image[..., 1] == 77
    assert np.array_equal(IDS[(out_image[real][:, 0] / 10).astype(int)], out_label[real])
    assert real.sum() == min(size[0], CROP) * min(size[1], CROP)


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(30, 70), st.integers(30, 70)), st.integers(0, 99), DRAWS)
def test_scaled_pairs_stay_aligned_inside_blocks(size, seed, draws):
    image, label = pair(size, seed, block=10)
    out_image, out_label = augment(image, label, draws, True)
    flat = np.isclose(out_image[..., 0] % 10, 0, atol=1e-3) | np.isclose(out_image[..., 0] % 10, 10, atol=1e-3)
    inner = flat & np.isclose(out_image[..., 1], 77, atol=1e-3)
    numbers = np.round(out_image[..., 0] / 10).astype(int)
    # Between blocks the picture is a mixture that may by chance be a multiple of 10: only uniform surroundings count.
    same = np.ones_like(inner)
    same[1:-1, 1:-1] = [
        [np.ptp(numbers[y - 1 : y + 2, x - 1 : x + 2]) == 0 for x in range(1, CROP - 1)] for y in range(1, CROP - 1)
    ]
    same[[0, -1]], same[:, [0, -1]] = False, False
    chosen = inner & same
    assert np.array_equal(IDS[np.minimum(numbers[chosen], 4)], out_label[chosen])


def test_against_a_slow_definition_at_scale_one():
    image, label = pair((50, 20), 1)
    out_image, out_label = augment(image, label, [0.0, 0.5, 0.9, 0.2], False)
    top = int(0.5 * (50 - CROP + 1))
    expected_label = np.full((CROP, CROP), 255)
    expected_image = np.tile(np.float32(MEAN_RGB), (CROP, CROP, 1))
    expected_label[:, :20], expected_image[:, :20] = label[top : top + CROP], image[top : top + CROP]
    assert np.array_equal(out_label, expected_label[:, ::-1]) and np.array_equal(out_image, expected_image[:, ::-1])


def test_resizing_is_cv2s():
    import cv2

    image, label = pair((40, 31), 2, block=4)
    out_image, out_label = augmentation.resize(tf.constant(image), tf.constant(label), tf.constant([60, 46]))
    expected = cv2.resize(image.astype(np.float32), (46, 60), interpolation=cv2.INTER_LINEAR)
    assert out_label.shape == (60, 46) and np.allclose(out_image, expected, atol=1e-2)
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in ((60, 40), (46, 31)))
    assert np.array_equal(out_label, label[rows.astype(int)[:, None], columns.astype(int)])


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(20, 90), st.integers(20, 90)), DRAWS)
def test_the_crop_is_that_of_the_wholly_scaled_picture(size, draws):
    """Scale, then crop, as published: the shortcut may lie half a source pixel off, as it keeps to whole source pixels."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.stack([rows * 2, columns * 2, np.full(size, 77)], -1).astype(np.uint8)
    out, label = augment(image, np.zeros(size, np.uint8), [*draws[:3], 0.9], True)
    scale = SCALES[int(np.float32(draws[0]) * 5)]
    scaled = np.maximum(np.round(np.float32(size) * np.float32(scale)), 1).astype(int)
    seen = np.minimum(scaled, CROP)
    assert np.array_equal((label == 0).sum((0, 1)), seen.prod()) and (label[: seen[0], : seen[1]] == 0).all()
    for axis in (0, 1):
        offset = int(np.float32(draws[1 + axis]) * np.float32(scaled[axis] - seen[axis] + 1))
        places = (offset + np.arange(seen[axis]) + 0.5) * size[axis] / scaled[axis] - 0.5
        expected = 2 * np.clip(places, 0, size[axis] - 1)
        got = out[: seen[0], : seen[1], axis].max(1 - axis)
        # Half a pixel for the start of the part that is scaled and half for its length; enlarged, its last row's centre lies
        # half of what an enlarged pixel is smaller further in, and bilinear stops there.
        inset = max(0, 1 - size[axis] / scaled[axis]) / 2
        assert np.abs(got - expected).max() <= 2 * (1.01 + inset)


def test_scales_are_drawn_evenly_from_a_set_or_a_range():
    draws = np.linspace(0, 1, 1000, endpoint=False, dtype=np.float32)
    chosen, counts = np.unique(
        [augmentation.pick_scale(tf.constant(d), SCALES).numpy() for d in draws[::5]], return_counts=True
    )
    assert np.allclose(chosen, SCALES) and (counts == 40).all()
    ranged = augmentation.pick_scale(tf.constant(draws), scale_range=(0.5, 1.5)).numpy()
    assert ranged.min() == 0.5 and 1.49 < ranged.max() < 1.5


def test_draws_are_random_access_and_even():
    many = augmentation.draw(3, 0, 4000).numpy()
    assert np.array_equal(augmentation.draw(3, 1234, 5), many[1234:1239]) and many.min() >= 0 and many.max() < 1
    assert not np.array_equal(augmentation.draw(-4, 1234, 5), many[1234:1239])
    assert np.allclose(many.mean(0), 0.5, atol=0.02)
    assert np.abs(np.corrcoef(np.concatenate([many[:-1], many[1:]], 1).T) - np.eye(8)).max() < 0.06
