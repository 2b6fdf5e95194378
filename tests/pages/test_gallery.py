"""The pictures of a report: which are shown, how they are drawn, and that they stay small."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.pages.gallery import ERROR_COLORS, MENDED, NOT_COUNTED, RIGHT, SPOILED, WRONG, Gallery, error_map

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 0, 250))


def decode(uri, kind="png"):
    assert uri.startswith(f"data:image/{kind};base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def shown(gallery, reason):
    return [item for item, reasons in gallery.items() if reason in reasons]


def test_maps_show_palette_colours_and_void_is_transparent(scene):
    image, label, prediction = scene(0)
    gallery = Gallery(PALETTE, 1)
    gallery.offer("one", image, label, prediction)
    ((item, reasons),) = gallery.items()
    assert reasons == ["sample"] and item.scores == [1.0] and item.class_scores() == {0: [1.0], 1: [1.0]}
    truth = np.array(decode(item.label).convert("RGBA"))
    np.testing.assert_array_equal(truth[..., 3], np.where(label == 255, 0, 255))
    np.testing.assert_array_equal(truth[label == 1], [[200, 0, 0, 255]] * np.count_nonzero(label == 1))
    predicted = np.array(decode(item.maps[0]).convert("RGB"))
    np.testing.assert_array_equal(predicted, np.asarray(PALETTE, np.uint8)[prediction])
    assert decode(item.image, "jpeg").size == (44, 30)


def test_errors_are_told_apart():
    label, first, last = np.array([[0, 0, 0, 0, 255, 255]]), np.array([[0, 1, 1, 0, 0, 1]]), np.array([[0, 1, 0, 2, 0, 0]])
    expected = [[RIGHT, WRONG, MENDED, SPOILED, NOT_COUNTED, NOT_COUNTED]]
    np.testing.assert_array_equal(error_map(label, first, last), expected)
    np.testing.assert_array_equal(error_map(label, first, first), [[RIGHT, WRONG, WRONG, RIGHT, NOT_COUNTED, NOT_COUNTED]])


def test_the_error_map_is_drawn(scene):
    image, label, _ = scene(0)
    before, after = scene(0, wrong=6)[2], scene(0, wrong=2)[2]
    gallery = Gallery(PALETTE, 1)
    gallery.offer("one", image, label, before, after)
    ((item, _),) = gallery.items()
    drawn = np.array(decode(item.errors).convert("RGBA"))
    np.testing.assert_array_equal(drawn, ERROR_COLORS[error_map(label, before, after)])
    np.testing.assert_array_equal(np.unique(drawn.reshape(-1, 4), axis=0), np.unique(ERROR_COLORS[[0, 1, 2, 4]], axis=0))


def test_large_pictures_are_reduced_without_new_colours():
    label = np.kron(np.eye(8, dtype=np.uint8), np.ones((100, 200), np.uint8))
    gallery = Gallery(PALETTE, 1)
    gallery.offer("large", np.zeros((*label.shape, 3), np.uint8), label, label)
    picture = decode(gallery.items()[0][0].maps[0]).convert("RGB")
    assert picture.size == (480, 240)
    assert {color for _, color in picture.getcolors()} == {PALETTE[0], PALETTE[1]}


@pytest.mark.parametrize("ids", [np.arange(300).reshape(15, 20), np.full((3, 4), 255), np.zeros((5, 1), int)])
def test_maps_of_all_ids_one_and_more_than_256(ids):
    palette = [(k % 256, k // 2 % 256, 255 - k % 256) for k in range(300)]
    gallery = Gallery(palette, 1)
    gallery.offer("one", np.zeros((*ids.shape, 3), np.uint8), ids, np.zeros_like(ids))
    truth = np.array(decode(gallery.items()[0][0].label).convert("RGBA"))
    known = ids < 255
    np.testing.assert_array_equal(truth[known][:, :3], np.asarray(palette, np.uint8)[ids[known]])
    assert (truth[known][:, 3] == 255).all() and (truth[~known][:, 3] == 0).all()


def test_gallery_holds_the_worst_the_best_and_a_sample(scene):
    gallery, order = Gallery(PALETTE, 12), np.random.default_rng(1).permutation(16)
    for place, wrong in enumerate(int(k) for k in order for _ in range(5)):
        image, label, prediction = scene(0, wrong=wrong)
        gallery.offer(f"{wrong}-{place}", image, label, prediction)
    worst, best, sample = (shown(gallery, reason) for reason in ("worst", "best", "sample"))
    assert (len(worst), len(best), len(sample)) == (3, 3, 6)
    assert {item.id.split("-")[0] for item in worst} == {"15"} and {item.id.split("-")[0] for item in best} == {"0"}
    items = [item for item, _ in gallery.items()]
    assert len({item.id for item in items}) == len(items) <= 12 and [i.order for i in items] == sorted(i.order for i in items)
    assert gallery.summary() == f"{len(items)} of 80 pictures are shown: 6 drawn at random, the 3 worst, the 3 best."


def test_what_changed_most_between_the_results_is_shown(scene):
    gallery = Gallery(PALETTE, 16, changes=0.5)
    label = scene(0)[1]
    for place, (first, last) in enumerate([(5, 5), (9, 1), (2, 8), (6, 5), (7, 7), (8, 1), (3, 4), (1, 9), (4, 4)] * 4):
        gallery.offer(f"{first}-{last}-{place}", scene(0)[0], label, scene(0, wrong=first)[2], scene(0, wrong=last)[2])
    assert {item.id[:3] for item in shown(gallery, "gained most")} == {"9-1"}
    assert {item.id[:3] for item in shown(gallery, "lost most")} == {"1-9"}
    assert len(shown(gallery, "gained most")) == 4 and "the 4 that gained most, the 4 that lost most" in gallery.summary()


def test_nothing_is_shown_for_a_change_that_is_none(scene):
    gallery = Gallery(PALETTE, 16)
    image, label, prediction = scene(0, wrong=3)
    for k in range(20):
        gallery.offer(str(k), image, label, prediction, prediction)
    assert {reason for _, reasons in gallery.items() for reason in reasons} == {"sample", "worst", "best"}


def test_sample_is_drawn_from_the_whole_set(scene):
    """Of 300 pictures the sample must not be the first ones; every third of the set is likely to be in it."""
    gallery = Gallery(PALETTE, 9)
    image, label, prediction = scene(0)
    for k in range(300):
        gallery.offer(str(k), image, label, prediction)
    drawn = [int(item.id) for item in shown(gallery, "sample")]
    assert drawn == sorted(drawn) and max(drawn) > 100 and len(gallery.items()) == 9


def test_a_set_that_fits_is_shown_whole(scene):
    gallery = Gallery(PALETTE, 20)
    for k in range(20):
        gallery.offer(str(k), *scene(k, wrong=k % 9))
    assert [item.id for item, _ in gallery.items()] == [str(k) for k in range(20)]
    assert gallery.summary() == "All 20 pictures of the set are shown."


def test_gallery_may_be_empty_and_all_void_pictures_are_no_extremes(scene):
    image, label, prediction = scene(0)
    none = Gallery(PALETTE, 0)
    none.offer("a", image, label, prediction)
    assert none.items() == []
    gallery = Gallery(PALETTE, 4)
    for k in range(6):
        gallery.offer(str(k), image, np.full_like(label, 255), prediction)
    assert {reason for _, reasons in gallery.items() for reason in reasons} == {"sample"}


def test_a_gallery_never_grows_beyond_its_page():
    """Noise does not compress: the hardest pictures there are, and more asked for than fit."""
    rng, gallery = np.random.default_rng(0), Gallery(PALETTE, 2000)
    image = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
    ids = [rng.integers(0, 3, (90, 120)).astype(np.uint8) for _ in range(3)]
    for k in range(210):
        gallery.offer(str(k), image, *ids)
    size = sum(len(uri) for item, _ in gallery.items() for uri in (item.image, item.label, item.errors, *item.maps))
    assert size <= 6_500_000 and gallery.size < 210
    assert "(of 2,000 asked for: more would not fit a page of 8 MB)" in gallery.summary()
    big = Gallery(PALETTE, 100)
    image, ids = np.tile(image, (6, 6, 1)), [np.tile(one, (6, 6)) for one in ids]
    big.offer("big", image, *ids)
    item = big.items()[0][0]
    assert sum(map(len, (item.image, item.label, item.errors, *item.maps))) <= 65_000 and decode(item.label).size[0] > 100
