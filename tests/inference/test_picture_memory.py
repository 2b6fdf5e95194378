"""Which tiles a memory limit asks for, the networks' fields of view, and labels without a whole picture's probabilities."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.errors import UserError
from deeplab_tf.inference import memory
from deeplab_tf.inference.memory import Footprint, choose_tiles
from deeplab_tf.inference.predictor import predictor_for
from deeplab_tf.inference.segment import segment, segment_labels
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.models.deeplab import build_model

LARGE = Footprint(classes=21, weights=82 * 2**20, pixel=700, field_of_view=419)


def test_a_picture_below_the_limit_stays_whole_and_one_above_is_cut():
    assert choose_tiles(LARGE, (1000, 1000), multiple=8, limit=4) is None
    tiles = choose_tiles(LARGE, (4000, 6000), multiple=8, limit=2, labels_only=True)
    assert tiles.size[0] == tiles.size[1] and tiles.size[0] % 8 == 1 and 500 < tiles.size[0] < 1100
    assert tiles.overlap[0] <= 419
    wide = choose_tiles(LARGE, (4000, 6000), multiple=8, limit=4, labels_only=True)
    assert wide.size[0] > tiles.size[0] and wide.overlap == (419, 419)
    with pytest.raises(UserError, match=r"6000x4000 pixels with 21 classes needs at least 3.\d GiB .* the limit is 2.0 GiB"):
        choose_tiles(LARGE, (4000, 6000), multiple=8, limit=2)


def test_the_choice_depends_on_no_free_memory(monkeypatch):
    monkeypatch.setattr(memory, "machine_limit", lambda: 2.0)
    assert choose_tiles(LARGE, (2000, 2000), multiple=8) == choose_tiles(LARGE, (2000, 2000), multiple=8, limit=2.0)
    monkeypatch.undo()
    assert 0 < memory.machine_limit() < 10_000


@pytest.mark.parametrize("name, lost", [("vgg16_largefov", 46), ("resnet50_aspp", 4)])
def test_field_of_view_is_what_a_score_depends_on(name, lost):
    """By the gradient of a score in the middle, with positive weights, so that nothing cancels; a max pool hands it to one
    pixel of its window only, which may lose `lost` pixels."""
    model = build_model(name, num_classes=2, width=1 / 32)
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 2.0 / np.prod(weight.shape[:-1]) ** (1 / 2) if "kernel" in weight.path else 1.0))
    field = predictor_for(model).footprint.field_of_view
    side = field // 8 * 8 + 33
    image = tf.Variable(np.random.default_rng(0).uniform(200, 255, (1, side, side, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        logits = model(image)
        score = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    rows = np.flatnonzero(np.abs(tape.gradient(score, image).numpy()).max(axis=(0, 2, 3)) > 0)
    assert field - lost <= rows[-1] - rows[0] + 1 <= field


def test_labels_are_those_of_the_probabilities(make_model, picture):
    model, image = make_model(num_classes=3), picture(90, 131)
    for tile in (None, 33, Tiles((41, 33), (20, 8)), (200, 40)):
        labels = segment_labels(model, image, tile=tile)
        np.testing.assert_array_equal(labels, segment(model, image, tile=tile).argmax(-1))
        assert labels.dtype == np.uint8


def test_a_small_limit_cuts_and_names_itself(make_model, picture, caplog, monkeypatch):
    monkeypatch.setattr(memory, "_PROCESS", 0)
    model, image = make_model(kernel_size=1), picture(90, 131)
    whole = segment(model, image)
    need = predictor_for(model).footprint.pixel * 90 * 131 / memory.GIB
    with caplog.at_level("INFO", logger="deeplab_tf"):
        np.testing.assert_allclose(segment(model, image, memory_limit=0.7 * need), whole, atol=1e-5)
    assert "131x90" in caplog.text and "--memory_limit" in caplog.text and "tiles of" in caplog.text
    with pytest.raises(UserError, match="--memory_limit"):
        segment(model, image, memory_limit=0.01 * need)
