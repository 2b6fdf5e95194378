"""Planted label errors are found before anything else, and right masks give none."""

import numpy as np

from deeplab_tf.pages.label_errors import LabelErrors

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 0, 250))


def make(seed, sure=0.8):
    """(image, true ids, probabilities of a network that is right, but unsure along the contour)."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((80, 100), np.int64)
    truth[10:40, 10 + seed : 50 + seed] = 1
    truth[50:75, 30:60] = 2
    probabilities = np.full((80, 100, 3), (1 - sure) / 2)
    np.put_along_axis(probabilities, truth[..., None], sure + 0.1 * rng.random((80, 100, 1)), axis=2)
    probabilities /= probabilities.sum(axis=2, keepdims=True)
    return rng.integers(0, 256, (80, 100, 3)).astype(np.uint8), truth, probabilities.astype(np.float32)


def collect(pictures, size=4):
    found = LabelErrors(PALETTE, size)
    for id, picture in pictures.items():
        found.offer(id, *picture)
    return found.found()


def test_a_right_mask_and_void_give_nothing():
    pictures = {str(seed): make(seed) for seed in range(3)}
    image, truth, probabilities = make(3)
    pictures["void"] = image, np.where(truth == 1, 255, truth), probabilities
    assert collect(pictures) == []


def test_a_forgotten_and_a_wrongly_named_object_are_found_the_larger_first():
    pictures = {str(seed): make(seed) for seed in range(6)}
    pictures["2"][1][pictures["2"][1] == 1] = 0
    pictures["4"][1][pictures["4"][1] == 2] = 1
    first, second = collect(pictures)
    assert (first.id, first.labelled, first.predicted, first.pixels) == ("2", 0, 1, 30 * 40)
    assert (second.id, second.labelled, second.predicted, second.pixels) == ("4", 1, 2, 25 * 30)
    assert 0.8 < first.probability < 0.9 and first.image.startswith("data:image/jpeg")


def test_the_order_of_the_pictures_does_not_matter():
    pictures = {str(seed): make(seed) for seed in range(5)}
    for id, (_, ids, _) in pictures.items():
        ids[10 : 20 + 3 * int(id), 20:40] = 0
    assert collect(pictures) == collect(dict(reversed(pictures.items())))
    assert [error.id for error in collect(pictures)] == ["4", "3", "2", "1"]


def test_ragged_contours_and_weak_objections_are_none():
    image, truth, probabilities = make(0)
    shifted = np.roll(truth, 3, axis=1)  # a mask drawn three pixels aside
    weak = make(1, sure=0.45)
    assert collect({"shifted": (image, shifted, probabilities), "weak": (weak[0], np.zeros_like(truth), weak[2])}) == []


def test_below_the_average_of_its_class_a_prediction_is_no_objection():
    """Class 1 is predicted with 0.9 where it is labelled; elsewhere 0.6 for it says little (confident learning's threshold)."""
    pictures = {str(seed): make(seed, sure=0.9) for seed in range(4)}
    image, truth, probabilities = make(5, sure=0.6)
    pictures["unsure"] = image, np.where(truth == 1, 0, truth), probabilities
    assert collect(pictures) == []
    pictures["sure"] = image, np.where(truth == 1, 0, truth), make(5, sure=0.97)[2]
    assert [error.id for error in collect(pictures)] == ["sure"]
