"""Cached scores, the stage beside the network, and the strip of Fig. 5."""

import contextlib
import itertools
import threading

import numpy as np
import pytest

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.crf.scores import load_scores, picture_digest, save_scores
from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.crf.strip import trace_strip
from deeplab_tf.errors import UserError
from tests.crf.conftest import make_picture

PARAMS = CrfParams(sigma_alpha=20, sigma_beta=10, sigma_gamma=2, iterations=2)


def test_scores_come_back_within_a_thousandth(tmp_path):
    _, probs = make_picture(40, 50, 21)
    probs[0, 0] = np.eye(21)[3]
    save_scores(tmp_path / "a.npz", probs)
    found = load_scores(tmp_path / "a.npz")
    clipped = np.maximum(probs, 1e-8)
    assert found.dtype == np.float32 and (abs(found - clipped) <= 1.01e-3 * clipped).all()
    assert (tmp_path / "a.npz").stat().st_size < probs.nbytes / 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_scores_know_their_picture(tmp_path):
    image, probs = make_picture(10, 12, 3)
    save_scores(tmp_path / "a.npz", probs, picture_digest(image))
    np.testing.assert_array_equal(load_scores(tmp_path / "a.npz"), load_scores(tmp_path / "a.npz", picture_digest(image)))
    with pytest.raises(UserError, match="a.npz: was made of another picture"):
        load_scores(tmp_path / "a.npz", picture_digest(image.transpose(1, 0, 2)))
    save_scores(tmp_path / "b.npz", probs)  # somebody's own scores, of which nothing is known
    assert load_scores(tmp_path / "b.npz", picture_digest(image)).shape == (10, 12, 3)


def test_refuses_broken_files_and_no_probabilities(tmp_path):
    (tmp_path / "b.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    save_scores(tmp_path / "whole.npz", make_picture(40, 50, 21)[1])
    data = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("b.npz", "c.npz", "cut.npz", "empty.npz"):
        with pytest.raises(UserError, match=f"{name}: is damaged or no score map; make it anew with eval --save_scores.$"):
            load_scores(tmp_path / name)
    with pytest.raises(UserError, match="missing.npz: is not there; write it with eval --save_scores"):
        load_scores(tmp_path / "missing.npz")
    for probs in (np.zeros((3, 4)), np.full((2, 2, 2), 5.0), np.full((2, 2, 2), np.nan)):
        with pytest.raises(ValueError, match="probs"):
            save_scores(tmp_path / "d.npz", probs)
    assert not (tmp_path / "d.npz").exists()


def test_no_flipped_byte_of_the_head_is_a_traceback(tmp_path):
    path, random = tmp_path / "a.npz", np.random.default_rng(0)
    save_scores(path, make_picture(6, 8, 3)[1])
    whole = path.read_bytes()
    for place, value in itertools.product(range(0, min(len(whole), 250)), random.integers(0, 256, 4)):
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        with contextlib.suppress(UserError):
            load_scores(path)


def test_stream_keeps_the_order_and_the_results():
    pictures = [(str(seed), *make_picture(30 - 3 * seed, 20, 3, seed)) for seed in range(7)]
    crf = DenseCRF(PARAMS, threads=1)
    found = list(refine_stream(crf, iter(pictures), workers=3, ahead=4))
    assert [identity for identity, _ in found] == [str(seed) for seed in range(7)]
    for (_, image, probs), (_, beliefs) in zip(pictures, found, strict=True):
        np.testing.assert_array_equal(beliefs, crf(image, probs))


def test_stream_runs_beside_its_source_and_draws_no_more_than_it_may():
    image, probs = make_picture(8, 8, 2)
    drawn, working = [], threading.Event()

    def source():
        for index in range(10):
            if index == 1:
                assert working.wait(10)  # the first picture is being refined while the second is made
            drawn.append(index)
            yield index, image, probs

    def slow(*_):
        working.set()
        return probs

    stream = refine_stream(slow, source(), workers=1, ahead=3)
    assert next(stream)[0] == 0
    assert len(drawn) <= 5


def test_stream_hands_on_what_went_before_an_error():
    image, probs = make_picture(8, 8, 2)

    def source():
        yield 0, image, probs
        raise RuntimeError("network")

    stream = refine_stream(DenseCRF(PARAMS), source())
    assert next(stream)[0] == 0
    with pytest.raises(RuntimeError, match="network"):
        next(stream)
    broken = [(0, image, probs), (1, image, probs[:-1])]
    with pytest.raises(ValueError, match="same height"):
        list(refine_stream(DenseCRF(PARAMS), iter(broken)))


def test_strip_shows_scores_over_beliefs():
    image, probs = make_picture(12, 15, 3)
    _, trace = DenseCRF(PARAMS)(image, probs, iterations_trace=True)
    strip = trace_strip(trace, 1, iterations=(0, 1, 2, 10))
    assert strip.shape == (24, 45, 3) and strip.dtype == np.uint8
    np.testing.assert_allclose(strip[12:, 30:, 0], trace.beliefs[2, ..., 1] * 255, atol=0.51)
    ahead = trace.scores[0].argmax(axis=-1) == 1
    assert (strip[:12, :15, 0][ahead] >= 127).all() and (strip[:12, :15, 0][~ahead] <= 128).all()
    with pytest.raises(ValueError, match="class_index"):
        trace_strip(trace, 3)
