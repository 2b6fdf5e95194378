"""Shards of an evaluation: they add up to the bits of one run, and those that do not belong together are named."""

import itertools
import re

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.evaluate import evaluate, merge
from tests.evaluation.test_evaluate import SPEC, _examples, _Swap

SAID = ("seconds",)


def part(model, out, number, count, **options):
    examples = itertools.islice(_examples(), number - 1, None, count)
    return evaluate(model, SPEC, examples, out_dir=out, shard=(number, count), crf=_Swap(), progress=False, **options)


def figures(result):
    return {name: value for name, value in result.items() if name not in SAID}


def test_they_add_up_to_the_same_bits_in_any_order_and_after_a_kill(make_model, tmp_path, monkeypatch):
    model, options = make_model(), {"trimap": "label_change", "settings": {"split": "val"}, "gallery": 3}
    whole = evaluate(model, SPEC, _examples(), out_dir=tmp_path / "whole", crf=_Swap(), progress=False, **options)
    with pytest.raises(RuntimeError), monkeypatch.context() as patch:  # a shard that dies leaves nothing
        patch.setattr(_Swap, "__call__", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        part(model, tmp_path / "parts", 2, 3, **options)
    assert not list(tmp_path.glob("parts/shards/*"))
    for number in (3, 1, 2):
        part(model, tmp_path / "parts", number, 3, **options)
    assert not (tmp_path / "parts" / "result.json").exists()
    merged = merge(SPEC, tmp_path / "parts")
    assert figures(merged) == figures(whole) and merged["images"] == 5
    pages = [re.sub(r"[0-9.]+ s", "", (tmp_path / name / "report.html").read_text()) for name in ("parts", "whole")]
    assert pages[0] == pages[1] and "after CRF" in pages[0] and 'id="pictures"' in pages[0]
    with np.load(tmp_path / "whole/pictures.npz") as one, np.load(tmp_path / "parts/pictures.npz") as other:
        for name in set(one.files) - {"about"}:
            np.testing.assert_array_equal(one[name], other[name])


def test_shards_that_miss_overlap_or_differ_are_named(make_model, tmp_path):
    model = make_model()
    with pytest.raises(UserError, match="holds no shards, expected i-of-n.npz"):
        merge(SPEC, tmp_path)
    part(model, tmp_path, 1, 3)
    with pytest.raises(UserError, match="shard 2/3, 3/3 of .* is missing; evaluate with --shard=2/3"):
        merge(SPEC, tmp_path)
    part(model, tmp_path, 2, 2)
    with pytest.raises(UserError, match="2-of-2.npz and 1-of-3.npz overlap|1-of-3.npz and 2-of-2.npz overlap"):
        merge(SPEC, tmp_path)
    (tmp_path / "shards/1-of-3.npz").unlink()
    part(model, tmp_path, 1, 2, trimap="void", gallery=3)
    with pytest.raises(UserError, match="2-of-2.npz and 1-of-2.npz differ in trimap, gallery"):
        merge(SPEC, tmp_path)
    (tmp_path / "shards/1-of-2.npz").write_bytes((tmp_path / "shards/2-of-2.npz").read_bytes()[:100])
    with pytest.raises(UserError, match="1-of-2.npz: cannot be read"):
        merge(SPEC, tmp_path)
    evaluate(model, SPEC, _examples(), out_dir=tmp_path, shard=(1, 2), crf=_Swap(), progress=False)  # the whole set as shard 1
    with pytest.raises(UserError, match="picture city/p1 is in 1-of-2.npz and 2-of-2.npz"):
        merge(SPEC, tmp_path)
