"""Score and activation maps from files: every layout that CAM methods write, and pickles that want to run something."""

import os
import pickle

import numpy as np
import pytest

from deeplab_tf.crf.scores import save_scores
from deeplab_tf.errors import UserError
from deeplab_tf.refining.maps import read_maps
from deeplab_tf.refining.pickled_arrays import read_npy
from tests.refining import torch_tensors

SIZE = (6, 9)
MAPS = np.random.default_rng(0).random((3, *SIZE)).astype(np.float32)
WHOLE = slice(0, SIZE[0]), slice(0, SIZE[1])


def read(tmp_path, found, without_background=True, name="a.npy", size=SIZE):
    np.save(tmp_path / name, found)
    maps = read_maps(tmp_path / name, size, without_background)
    return maps.window(slice(0, size[0]), slice(0, size[1])), maps.ids


@pytest.mark.parametrize(
    "found",
    [
        {"keys": np.array([2, 7, 14]), "cam": MAPS[:, ::2, ::2], "high_res": MAPS},
        {"keys": np.array([2, 7, 14]), "cam": MAPS},
        {2: MAPS[0], 7: MAPS[1], 14: MAPS[2]},
        {np.int64(2): MAPS[0].astype(np.float16), np.int64(7): MAPS[1].astype(np.float16), 14: MAPS[2].astype(np.float16)},
    ],
    ids=["IRN", "IRN without high_res", "AffinityNet", "half precision"],
)
def test_dicts_of_objects(tmp_path, found):
    maps, ids = read(tmp_path, found)
    assert ids == (3, 8, 15)
    np.testing.assert_allclose(maps, np.moveaxis(MAPS, 0, -1), atol=1e-3)


def test_tensors_that_irn_leaves(tmp_path, monkeypatch):
    torch_tensors.install(monkeypatch)
    tensor = torch_tensors.Tensor
    maps, ids = read(tmp_path, {"keys": tensor(np.array([2, 7, 14])), "cam": tensor(MAPS[:, ::2]), "high_res": MAPS})
    assert ids == (3, 8, 15)
    np.testing.assert_array_equal(maps, np.moveaxis(MAPS, 0, -1))
    maps, _ = read(tmp_path, {"keys": tensor(np.array([2, 7, 14])), "cam": tensor(MAPS)})
    np.testing.assert_array_equal(maps, np.moveaxis(MAPS, 0, -1))


@pytest.mark.parametrize("found", [MAPS, np.moveaxis(MAPS, 0, -1), MAPS.astype(np.float64), np.asfortranarray(MAPS)])
def test_arrays_of_either_layout(tmp_path, found):
    maps, ids = read(tmp_path, found)
    assert ids == (1, 2, 3) and maps.dtype == np.float32
    np.testing.assert_allclose(maps, np.moveaxis(MAPS, 0, -1), rtol=1e-6)
    assert read(tmp_path, found, without_background=False)[1] == (0, 1, 2)
    assert isinstance(read_npy(tmp_path / "a.npy"), np.memmap)


def test_score_files(tmp_path):
    probs = np.moveaxis(MAPS / MAPS.sum(axis=0), 0, -1)
    save_scores(tmp_path / "a.npz", probs)
    maps = read_maps(tmp_path / "a.npz", SIZE, without_background=False)
    np.testing.assert_allclose(maps.window(*WHOLE), probs, rtol=2e-3)


def test_a_picture_without_objects(tmp_path):
    for found in ({}, {"keys": np.zeros(0, int), "high_res": np.zeros((0, *SIZE), np.float32)}):
        maps, ids = read(tmp_path, found)
        assert maps.shape == (*SIZE, 0) and ids == ()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(tmp_path, protocol):
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": (), "fortran_order": False, "descr": "|O"})
        value = np.empty((), object)
        value[()] = {"keys": np.array([1]), "high_res": MAPS[:1], "note": [b"x", "y", (1.5, None, True)]}
        pickle.dump(value, file, protocol=protocol)
    assert read_npy(tmp_path / "a.npy")["note"] == [b"x", "y", (1.5, None, True)]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("where", ["map", "key", "list"])
def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path, where):
    target = str(tmp_path / "made")
    found = {"map": {1: Evil(target)}, "key": {"keys": Evil(target)}, "list": {0: [np.zeros(2), Evil(target)]}}[where]
    with pytest.raises(UserError, match="mkdir"):
        read(tmp_path, found)
    assert not os.path.exists(target)


@pytest.mark.parametrize(
    ("found", "size", "without", "message"),
    [
        (MAPS, (6, 8), True, "9.* for a picture 8 wide and 6 high"),
        (np.zeros((4, 4, 4), np.float32), (4, 4), True, "which may be"),
        (np.zeros(5), SIZE, True, r"shape \[5\]"),
        (MAPS.astype(complex), SIZE, True, "complex"),
        ({"keys": np.array([1]), "high_res": MAPS}, SIZE, True, "3 maps for 1 classes"),
        ({"keys": np.array([1])}, SIZE, True, "expected keys with high_res or cam"),
        ({"keys": np.array([1, 1, 2]), "high_res": MAPS}, SIZE, True, "ids 2, 2, 3"),
        ({"keys": np.array([1, 2, 254]), "high_res": MAPS}, SIZE, True, "ids 2, 3, 255"),
        ({"keys": np.array([1, 2, 3]), "high_res": MAPS}, SIZE, False, "--preset=irn"),
        ({1: MAPS[0], 2: MAPS[0, :2]}, SIZE, True, "different sizes"),
        ({"cat": MAPS[0]}, SIZE, True, "got a dict"),
        (MAPS * 30, SIZE, True, "expected 0..1"),
        (MAPS * np.nan, SIZE, True, "expected 0..1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, found, size, without, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, found, without, size=size)


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:40], lambda data: data[:-30], lambda data: b"hello" * 40]
)
@pytest.mark.parametrize("found", [MAPS, {1: MAPS[0]}], ids=["array", "dict"])
def test_damaged_files(tmp_path, damage, found):
    path = tmp_path / "a.npy"
    np.save(path, found)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="a.npy"):
        read_maps(path, SIZE, True)
    with pytest.raises(UserError, match="not there"):
        read_maps(tmp_path / "b.npy", SIZE, True)
