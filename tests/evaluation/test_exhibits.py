"""What an evaluation hands its report: the CRF step by step, label errors, and a page of it all."""

import base64
import io
import json
import types

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.evaluation.crf_strips import CrfStrips
from deeplab_tf.evaluation.exhibits import Exhibits
from deeplab_tf.evaluation.tally import Tally

NAMES, PALETTE = ("ground", "disc"), ((0, 0, 0), (200, 0, 0))
SPEC = types.SimpleNamespace(num_classes=2, ignore_label=255, class_names=NAMES, palette=PALETTE, void_color=(255, 255, 255))


@pytest.fixture(scope="module")
def crf():
    return DenseCRF(CrfParams(iterations=2), backend="numpy")


def disc(size, flips, seed=0):
    """(image, label, probabilities): a bright disc; in every `flips`-th row of it the network is wrong."""
    y, x = np.mgrid[: size[0], : size[1]]
    label = ((y - size[0] // 2) ** 2 + (x - size[1] // 3) ** 2 < (min(size) // 3) ** 2).astype(np.int64)
    image = np.where(label[..., None] == 1, 220, 30).astype(np.uint8) + np.random.default_rng(seed).integers(
        0, 20, (*size, 3)
    ).astype(np.uint8)
    belief = np.where(label == 1, 0.8, 0.1)
    belief[::flips][label[::flips] == 1] = 0.3
    return image, label, np.stack([1 - belief, belief], axis=2).astype(np.float32)


def test_the_most_mended_and_the_most_spoiled_picture_are_taken(crf):
    strips = CrfStrips(crf, NAMES)
    for id, flips in (("little", 9), ("much", 3)):
        image, label, scores = disc((40, 60), flips)
        strips.offer(id, image, label, scores.argmax(2), crf(image, scores).argmax(2), scores)
    (only,) = strips.strips()  # nothing is spoiled
    assert (only.id, only.why, only.class_name, only.iterations) == ("much", "most pixels mended", "disc", (0, 1, 2))
    maps = Image.open(io.BytesIO(base64.b64decode(only.maps.split(",")[1])))
    assert maps.size == (3 * 60, 2 * 40)
    belief = np.asarray(maps.convert("L"), float)[40:]
    row = next(y for y in range(0, 40, 3) if label[y, 20])
    assert belief[row, 20] < 110 < 200 < belief[row, 120 + 20]  # wrong before, mended after the last iteration
    strips.offer("spoiled", image, label, label, 1 - label, scores)
    assert [strip.why for strip in strips.strips()] == ["most pixels mended", "most pixels spoiled"]


def test_large_pictures_are_cut_out_and_void_does_not_count(crf):
    image, label, scores = disc((400, 500), 3)
    before, after = scores.argmax(2), label
    strips = CrfStrips(crf, NAMES)
    strips.offer("void", image, np.full_like(label, 255), before, after, scores)
    assert strips.strips() == []
    strips.offer("large", image, label, before, after, scores)
    (kept,) = strips._most["mended"].entries()
    assert kept.image.shape == (320, 320, 3) and kept.probabilities.shape == (320, 320, 2)
    assert np.count_nonzero(kept.image > 200) == np.count_nonzero(image > 200)  # the disc is in it, whole
    np.testing.assert_array_equal(kept.probabilities.argmax(2)[kept.image[..., 0] < 100], 0)  # and scores are of the same place


@pytest.mark.parametrize("with_crf", [True, False])
def test_the_page_has_all_that_was_given(crf, with_crf, tmp_path):
    refine = crf if with_crf else None
    tally, exhibits = Tally(SPEC, with_crf, "label_change"), Exhibits(SPEC, refine, 6)
    for k in range(4):
        image, label, scores = disc((40, 60), 25 if k == 2 else 3 + k, seed=k)
        forgotten = np.zeros_like(label) if k == 2 else label
        before, after = scores.argmax(2), crf(image, scores).argmax(2) if with_crf else None
        tally.add(f"p{k}", k, forgotten, before, after)
        exhibits.add(f"seq/{k}", k, image, forgotten, scores, before, after)
    log = tmp_path / "train.jsonl"
    log.write_text("".join(json.dumps({"step": s, "loss": 1.0, "learning_rate": 0.1}) + "\n" for s in (1, 2)))
    path = tmp_path / "report.html"
    exhibits.write(
        path, tally, title="net on discs", figures={"Pictures": "4"}, settings={"flip": True}, warnings=("look out",),
        log_file=log, commands=["python -m this"], flags="--that",
    )  # fmt: skip
    page = path.read_text()
    for text in ("net on discs", "seq/3", "look out", "python -m this", "--that", 'id="training"', 'id="label-errors"',
                 'id="boundaries"'):  # fmt: skip
        assert text in page
    assert ('id="strips"' in page) == with_crf == ("after CRF" in page)
    none = Exhibits(SPEC, refine, 0)
    none.add("seq/0", 0, image, label, scores, before, after)
    none.write(path, tally, title="no pictures", figures={}, settings={}, warnings=(), log_file=tmp_path / "not there")
    page = path.read_text()
    assert not any(f'id="{part}"' in page for part in ("pictures", "strips", "label-errors", "training"))


def test_what_was_collected_of_parts_is_that_of_the_whole_set(crf, tmp_path):
    tally = Tally(SPEC, True, None)
    whole, merged, parts = Exhibits(SPEC, crf, 6), Exhibits(SPEC, None, 6), [Exhibits(SPEC, crf, 6) for _ in range(3)]
    for k in range(14):
        forgotten = k in (3, 9, 10)
        image, label, scores = disc((40, 60), 25 if forgotten else 2 + k // 2 % 5, seed=k)  # pairs of pictures have one rank
        shown = np.zeros_like(label) if forgotten else label
        before, after = scores.argmax(2), crf(image, scores).argmax(2) if k % 4 else 1 - label
        tally.add(f"p{k}", k, shown, before, after)
        for exhibits in (whole, parts[k % 3]):
            exhibits.add(f"p{k}", k, image, shown, scores, before, after)
    for part in (parts[2], parts[0], parts[1]):
        merged.add_state(json.loads(json.dumps(part.state())))
    pages = []
    for name, exhibits in (("whole", whole), ("merged", merged)):
        exhibits.write(tmp_path / name, tally, title="discs", figures={}, settings={}, warnings=())
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1] and all(f'id="{part}"' in pages[0] for part in ("pictures", "strips", "label-errors"))
