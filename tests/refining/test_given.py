"""Masks and activation maps on their way through the CRF, beside the published steps done with pydensecrf's layouts."""

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import get_preset
from deeplab_tf.crf.pydensecrf import densecrf, utils
from deeplab_tf.errors import UserError
from deeplab_tf.refining.background import parse_backgrounds
from deeplab_tf.refining.given import GivenMaps, GivenMask, refine_window
from deeplab_tf.refining.maps import Maps
from deeplab_tf.refining.rasters import Mask

HEIGHT, WIDTH = 34, 47
WHOLE = slice(0, HEIGHT), slice(0, WIDTH)


@pytest.fixture(scope="module")
def picture():
    """A disc and a bar on a ground, and activation maps that are brightest in their middle."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc, bar = np.hypot(y - 14, x - 13) < 9, abs(x - 36) < 5
    image = np.where(disc[..., None], (200, 60, 40), np.where(bar[..., None], (40, 190, 60), (70, 80, 160)))
    maps = np.stack(
        [np.exp(-(np.hypot(y - 14, x - 12) ** 2) / 45), np.exp(-((x - 36) ** 2) / 12 - (y - 16) ** 2 / 400)], axis=-1
    )
    return np.clip(image + rng.normal(scale=6, size=image.shape), 0, 255).astype(np.uint8), maps.astype(np.float32)


def crf_of(labels_or_energies, image, count, sxy, srgb):
    crf = densecrf.DenseCRF2D(WIDTH, HEIGHT, count)
    crf.setUnaryEnergy(labels_or_energies)
    crf.addPairwiseGaussian(sxy=3, compat=3)
    crf.addPairwiseBilateral(sxy=sxy, srgb=srgb, rgbim=image, compat=10)
    return np.argmax(crf.inference(10), axis=0).reshape(HEIGHT, WIDTH)


def refined(picture, preset, background, certainty):
    image, maps = picture
    given = GivenMaps(Maps(maps, (9, 15)), parse_backgrounds(background), certainty, 255)
    return refine_window(DenseCRF(get_preset(preset)), given, image, given.window(*WHOLE)), given


def test_irn(picture):
    """step/cam_to_ir_label.py of jiwoon-ahn/irn, written down again."""
    image, maps = picture
    keys, sure = np.array([0, 9, 15]), []
    for threshold in (0.30, 0.05):
        best = np.argmax(np.pad(np.moveaxis(maps, -1, 0), ((1, 0), (0, 0), (0, 0)), constant_values=threshold), axis=0)
        sure.append(keys[crf_of(utils.unary_from_labels(best, 3, 0.7, zero_unsure=False), image, 3, 50, 5)])
    expected = sure[0].copy()
    expected[sure[0] == 0] = 255
    expected[sure[0] + sure[1] == 0] = 0
    found, given = refined(picture, "irn", "0.30,0.05", 0.7)
    assert set(found.flat) == {0, 9, 15, 255} == {*given.unrefined(maps).flat}
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("alphas", [(4,), (4, 32)])
def test_affinitynet(picture, alphas):
    """infer_cls.py of jiwoon-ahn/psa with the labels that its voc12/data.py makes of two alphas, written down again."""
    image, maps = picture
    keys, sure = np.array([0, 9, 15]), []
    for alpha in alphas:
        scores = np.concatenate([np.power(1 - maps.max(axis=-1, keepdims=True), alpha), maps], axis=-1)
        energies = utils.unary_from_softmax(np.moveaxis(scores, -1, 0))
        sure.append(keys[crf_of(energies, image, 3, 80, 13)])
    expected = sure[0].copy()
    if len(alphas) > 1:
        expected[sure[0] == 0] = 255
        expected[sure[1] == 0] = 0
    found, _ = refined(picture, "affinitynet", ",".join(f"power:{alpha}" for alpha in alphas), None)
    np.testing.assert_array_equal(found, expected)
    assert {9, 15} < set(found.flat)


def test_probabilities_of_all_classes(picture):
    image, maps = picture
    probs = np.dstack([maps, np.full((HEIGHT, WIDTH), 0.3, np.float32)])
    probs /= probs.sum(axis=-1, keepdims=True)
    crf = DenseCRF(get_preset("template"))
    given = GivenMaps(Maps(probs, (4, 7, 0)), (), None, 255)
    found = refine_window(crf, given, image, given.window(*WHOLE))
    np.testing.assert_array_equal(found, np.array([4, 7, 0])[crf(image, probs).argmax(axis=-1)])
    np.testing.assert_array_equal(given.unrefined(probs), np.array([4, 7, 0])[probs.argmax(axis=-1)])


def test_a_mask_with_unsure_pixels(picture, tmp_path):
    image, maps = picture
    mask = np.where(maps[..., 0] > 0.6, 7, np.where(maps[..., 1] > 0.6, 100, 2)).astype(np.uint8)
    mask[::3] = 255
    np.save(tmp_path / "a.npy", mask)
    given = GivenMask(Mask(tmp_path / "a.npy"), 0.8, 255, band=5)
    assert given.ids.tolist() == [2, 7, 100] and given.has_unsure
    crf = DenseCRF(get_preset("template"))
    found = refine_window(crf, given, image, given.window(*WHOLE))
    places = np.searchsorted([2, 7, 100], np.where(mask == 255, 2, mask)) + 1
    energies = utils.unary_from_labels(np.where(mask == 255, 0, places), 3, 0.8).T.reshape(HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(found, np.array([2, 7, 100])[crf.from_unary(image, energies).argmax(axis=-1)])
    np.testing.assert_array_equal(given.unrefined(mask), mask)


@pytest.mark.parametrize(
    ("values", "unsure", "expected"), [([3], 255, 3), ([3, 255], 255, 3), ([255], 255, 255), ([255], None, 255)]
)
def test_a_mask_of_one_class_has_nothing_to_choose(tmp_path, values, unsure, expected):
    mask = np.resize(np.array(values, np.uint8), (5, 7))
    np.save(tmp_path / "a.npy", mask)
    given = GivenMask(Mask(tmp_path / "a.npy"), 0.7, unsure)
    assert (refine_window(None, given, np.zeros((5, 7, 3), np.uint8), mask) == expected).all()


def test_a_mask_may_hold_every_id(tmp_path):
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.save(tmp_path / "a.npy", mask)
    given = GivenMask(Mask(tmp_path / "a.npy"), 0.7, None)
    energies = next(given.energies(mask))
    assert energies.shape == (16, 16, 256) and (energies.argmin(axis=-1) == mask).all()


def test_maps_that_are_whole_or_not_are_told_apart(picture):
    maps = picture[1]
    whole = np.dstack([maps / 2, 1 - maps.sum(axis=-1) / 2])
    with pytest.raises(UserError, match="--background=none"):
        GivenMaps(Maps(whole, (1, 2, 3)), parse_backgrounds("0.3"), None, 255).window(*WHOLE)
    with pytest.raises(UserError, match="expected 1"):
        GivenMaps(Maps(maps, (1, 2)), (), None, 255).window(*WHOLE)


@pytest.mark.parametrize(
    "text",
    ["a", "1.5", "-0.1", "power:0", "power:", "0.05,0.30", "power:32,power:4", "0.3,power:4", "0.3,0.2,0.1", "0.3,0.3", "nan"],
)
def test_backgrounds_that_make_no_sense_are_refused(text):
    with pytest.raises(UserError, match="--background"):
        parse_backgrounds(text)
