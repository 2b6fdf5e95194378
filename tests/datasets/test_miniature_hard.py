"""The harder scenes: what their documentation promises, and that the demo's scenes are what they were."""

import hashlib

import numpy as np
import pytest

from deeplab_tf.datasets import miniature, miniature_hard, miniature_parts, specs
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.errors import UserError


def test_the_scenes_of_the_demo_are_what_they_were():
    found = hashlib.sha256()
    for seed in (*range(40), 1_000_000, 1_000_007, 1_000_099):
        for array in miniature.render(seed):
            found.update(str(array.shape).encode() + array.tobytes())
    assert found.hexdigest() == "44a4d77408fc08f89727248d87fea1409d5384f33e22f065b4cb094e23376fd1"


def test_scenes_are_functions_of_their_seed():
    one, again, other = (miniature_hard.render(seed) for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert one[1].shape != other[1].shape or not np.array_equal(one[1], other[1])


def test_no_seed_is_in_two_splits():
    modules = miniature, miniature_hard, miniature_parts
    ranges = [range(first, first + count) for module in modules for first, count in module.SEEDS.values()]
    assert sum(map(len, ranges)) == len(set().union(*ranges))
    for name, module in (("miniature_hard", miniature_hard), ("miniature_parts", miniature_parts)):
        assert dict(specs.get_dataset(name).splits) == {split: count for split, (_, count) in module.SEEDS.items()}


def test_every_class_has_its_parts():
    """The same picture, and of every object of it the parts that its class has, and no others."""
    wanted = {"ball": "ball", "flower": "ball stem", "crate": "wood", "boat": "wood", "beast": "trunk head leg tail",
              "bench": "trunk leg", "kite": "fields string", "streamer": "bands string"}  # fmt: skip
    hard, parts = (specs.get_dataset(name).class_names for name in ("miniature_hard", "miniature_parts"))
    found = {name: set() for name in wanted}
    for seed in range(5_000_000, 5_000_040):
        (picture, label), (same, parted) = miniature_hard.render(seed), miniature_parts.render(seed)
        assert np.array_equal(picture, same) and parted.dtype == np.uint8
        for name in wanted:
            found[name] |= {parts[train_id] for train_id in np.unique(parted[label == hard.index(name)])}
        assert {parts[train_id] for train_id in np.unique(parted[label == 0])} <= {"background", "water"}
    assert found == {name: set(text.split()) for name, text in wanted.items()}


@pytest.fixture(scope="module")
def drawn():
    """Of 80 scenes: the objects as they were drawn, and the pixels of every class."""
    objects, counts, draw = [], np.zeros(256, int), miniature_hard._objects

    def recorded(*arguments):
        objects.extend(found := draw(*arguments))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(miniature_hard, "_objects", recorded)
        for seed in range(80):
            image, label = miniature_hard.render(seed)
            assert image.dtype == label.dtype == np.uint8 and image.shape == (*label.shape, 3)
            assert 160 <= label.shape[0] <= 200 and 160 <= label.shape[1] <= 240
            counts += np.bincount(label.ravel(), minlength=256)
    return objects, counts / counts.sum()


def test_every_class_is_there_at_three_scales(drawn):
    objects, share = drawn
    scales = list(enumerate(miniature_hard.SIZES))
    seen = {(one.kind, scale) for one in objects for scale, (low, high) in scales if low <= one.size <= high}
    assert seen == {(kind, scale) for kind in range(1, 9) for scale in range(3)}
    assert share[9:255].sum() == 0 and (share[1:9] > 0.005).all() and 0.5 < share[0] < 0.85 and 0.02 < share[255] < 0.12


def test_the_classes_of_a_pair_share_their_colours():
    looks = [miniature_hard._CLASSES[kind][1] for kind in range(1, 9)]
    assert all(one[1:] == other[1:] for one, other in zip(looks[::2], looks[1::2], strict=True))


def test_a_hull_on_water_is_a_boat_and_on_land_a_crate():
    """Blue round the hull, away from other objects: in scenes with one of the two alone."""
    bluer = {miniature_hard.CRATE: [], miniature_hard.BOAT: []}
    for seed in range(120):
        image, label = miniature_hard.render(seed)
        for kind, found in bluer.items():
            ground = _ground_round(label, kind)
            if ground.sum() > 50:
                red, _, blue = image[ground].astype(float).mean(axis=0)
                found.append(blue - red)
    assert np.median(bluer[miniature_hard.BOAT]) > np.median(bluer[miniature_hard.CRATE]) + 25


def _ground_round(label, kind):
    import cv2

    return (cv2.dilate((label == kind).astype(np.uint8), np.ones((13, 13))) > 0) & (label == 0)


def test_the_splits_are_made_on_demand_in_a_folder_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(miniature_hard, "SEEDS", {"train": (0, 3), "val": (3_000_000, 2), "pretrain": (4_000_000, 2)})
    monkeypatch.setattr(miniature, "SEEDS", {"train": (0, 3), "val": (1_000_000, 2)})
    spec = specs.get_dataset("miniature_hard")
    assert [len(list_samples(spec, tmp_path, split)) for split in ("train", "val", "pretrain")] == [3, 2, 2]
    with pytest.raises(UserError, match="rendered scenes of miniature,"):
        miniature.ensure(tmp_path)
