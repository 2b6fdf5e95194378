"""Label maps as files, in the network's ids or the data set's own; many pictures, broken ones, a run that goes on."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.prepare.run_length import decode_segmentation, to_counts
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.inference.label_files import OUTPUTS, LabelFiles, Prediction
from deeplab_tf.inference.picture_files import find_pictures
from deeplab_tf.inference.predictions import predict_pictures
from deeplab_tf.inference.segment import segment
from tests.full_disk import full_disk

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200))
NAMES = ("ground", "red", "green", "blue")
FILES = LabelFiles(NAMES, PALETTE)


@pytest.fixture
def network(make_model):
    return functools.partial(segment, make_model())


def predict(network, paths, out, files=FILES, **options):
    return predict_pictures(network, find_pictures(paths), out, files, **options)


def test_label_ids_are_read_back_as_the_classes_they_stand_for(make_model, picture, tmp_path):
    spec, model, image = get_dataset("cityscapes"), make_model(19), picture(40, 56)
    Image.fromarray(image).save(tmp_path / "street.png")
    network, expected = functools.partial(segment, model), segment(model, image).argmax(axis=-1)
    for ids in (None, spec.ids):
        out = tmp_path / str(ids is None)
        files = LabelFiles(spec.class_names, spec.palette, ids, ("palette", "labels"))
        written, grey = predict(network, [tmp_path / "street.png"], out, files).written
        values, colors = np.asarray(Image.open(written)), np.asarray(Image.open(written).convert("RGB"))
        np.testing.assert_array_equal(colors, np.array(spec.palette)[expected])
        np.testing.assert_array_equal(np.asarray(Image.open(grey)), values)
        if ids is None:
            np.testing.assert_array_equal(values, expected)
        else:
            assert values.min() >= 7 and len(np.unique(values)) > 3  # road is 7; 0 to 6 are not trained
            np.testing.assert_array_equal(read_label(written, spec), expected)
    with pytest.raises(UserError, match="got 1018, expected at most 255"):
        LabelFiles(spec.class_names, spec.palette, range(1000, 1019))


def test_every_output_says_the_same(picture, tmp_path):
    image, random = picture(13, 9), np.random.default_rng(3)
    probabilities = random.dirichlet(np.ones(4), (13, 9)).astype(np.float32)
    labels = probabilities.argmax(-1)
    files = LabelFiles(NAMES, PALETTE, (7, 300, 9, 2), tuple(set(OUTPUTS) - {"palette", "overlay"}))
    files.save(Prediction(image, labels, probabilities), tmp_path, "a/b")
    wide = np.asarray(Image.open(tmp_path / "a/b_labels.png"))
    assert np.array_equal(wide, np.array((7, 300, 9, 2))[labels])
    kept = np.load(tmp_path / "a/b_probabilities.npy")
    np.testing.assert_allclose(kept, probabilities, atol=1e-3)
    confidence = np.asarray(Image.open(tmp_path / "a/b_confidence.png"))
    np.testing.assert_allclose(confidence / 255, probabilities.max(-1), atol=0.5 / 255 + 1e-6)
    found = json.loads((tmp_path / "a/b_coco.json").read_text())
    again = np.full((13, 9), -1)
    for one in found["annotations"]:
        mask = decode_segmentation(one["segmentation"], 13, 9)
        left, top, width, height = one["bbox"]
        assert one["area"] == mask.sum() == mask[top : top + height, left : left + width].sum()
        again[mask] = NAMES.index(one["category"])
        assert files.ids[NAMES.index(one["category"])] == one["category_id"]
    assert np.array_equal(again, labels)


@pytest.mark.parametrize("value", [False, True])
def test_run_lengths_of_a_single_value(value):
    mask = np.full((3, 2), value)
    assert to_counts(mask) == ([0, 6] if value else [6])


def test_an_unknown_output_is_refused_by_name():
    with pytest.raises(UserError, match="--write: got 'mask', expected some of labels, palette, overlay"):
        LabelFiles(NAMES, PALETTE, write=("mask",))


@pytest.fixture
def folder(picture, tmp_path):
    """Pictures of a user, one of them named like an overlay."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for seed, name in enumerate(("a.png", "b.jpg", "c.jpg", "c_overlay.jpg")):
        Image.fromarray(picture(60, 80, seed)).save(folder / name)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("named", [["a.png", "b.jpg"], ["b.jpg", "c.jpg", "c_overlay.jpg"]], ids=["label map", "overlay"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_picture_is_never_replaced_by_a_result(network, folder, named, overwrite):
    before, out = contents(folder), folder.parent / "link"
    out.symlink_to(folder)
    with pytest.raises(UserError, match="one of the pictures would be replaced by a result; choose another --out"):
        predict(network, [folder / name for name in named], out, overwrite=overwrite)
    assert contents(folder) == before


def test_results_of_unknown_origin_stay_without_overwrite(network, folder):
    out = folder.parent / "out"
    out.mkdir()
    for name in ("b.png", "b_overlay.jpg"):
        (out / name).write_text("mine")
        with pytest.raises(UserError, match=f"{name} is there already; give --overwrite"):
            predict(network, [folder / "b.jpg"], out)
        assert contents(out) == {name: b"mine"}
        (out / name).unlink()


def test_a_run_goes_on_where_another_stopped(network, folder):
    """What is done is not done again; other pixels under the same name are; other settings are refused."""
    out, calls = folder.parent / "out", []

    def counting(image):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(image)
        return network(image)

    with pytest.raises(KeyboardInterrupt):
        predict(counting, [folder], out, crf_workers=1)
    left = predict(network, [folder], out)
    assert left.pictures + left.skipped == 4 and left.skipped >= 1
    undisturbed = folder.parent / "undisturbed"
    predict(network, [folder], undisturbed)
    assert {name: data for name, data in contents(out).items() if name != "predict.jsonl"} == {
        name: data for name, data in contents(undisturbed).items() if name != "predict.jsonl"}  # fmt: skip
    again = predict(lambda image: pytest.fail("done before"), [folder], out)
    assert (again.pictures, again.skipped, again.written) == (0, 4, ())
    Image.fromarray(255 - np.asarray(Image.open(folder / "a.png"))).save(folder / "a.png")
    assert predict(network, [folder], out).pictures == 1
    with pytest.raises(UserError, match="came about otherwise .network differ"):
        predict(network, [folder], out, settings={"network": "another"})


def test_a_log_line_that_was_cut_by_a_kill_costs_one_picture(network, folder):
    out = folder.parent / "out"
    predict(network, [folder], out)
    text = (out / "predict.jsonl").read_text()
    (out / "predict.jsonl").write_text(text[:-20])
    assert predict(network, [folder], out).pictures == 1
    assert predict(network, [folder], out).pictures == 0


def test_broken_pictures_are_told_of_and_the_others_done(network, folder):
    (folder / "d.jpg").write_bytes((folder / "b.jpg").read_bytes()[:300])
    (folder / "e.png").write_text("no picture")
    outcome = predict(network, [folder], folder.parent / "out", LabelFiles(NAMES, PALETTE, write=("labels", "shares")))
    assert outcome.pictures == 4 and [path.name for path, _ in outcome.failed] == ["d.jpg", "e.png"]
    assert all(reason.endswith(".") and "\n" not in reason for _, reason in outcome.failed)
    header, *rows = (folder.parent / "out" / "shares.csv").read_text().splitlines()
    assert header == "picture,height,width,ground,red,green,blue" and len(rows) == 4
    for row in rows:
        name, height, width, *found = row.split(",")
        labels = np.asarray(Image.open(folder.parent / "out" / f"{name}_labels.png"))
        assert labels.shape == (int(height), int(width))
        np.testing.assert_allclose(list(map(float, found)), np.bincount(labels.ravel(), minlength=4) / labels.size, atol=1e-6)


def test_a_full_disk_leaves_no_half_of_a_result(network, folder, picture):
    Image.fromarray(picture(300, 400)).save(folder / "large.png")
    out = folder.parent / "out"
    predict(network, [folder / "b.jpg"], out)
    small = contents(out)
    with full_disk(40_000), pytest.raises(UserError, match="large_overlay.jpg: cannot be written .File too large"):
        predict(network, [folder / "b.jpg", folder / "large.png"], out)
    assert contents(out) == small
    predict(network, [folder / "large.png"], out)
    assert (out / "large.png").stat().st_size < 40_000 < (out / "large_overlay.jpg").stat().st_size


def test_a_folder_that_cannot_be_written_is_told_before_the_network_runs(folder):
    with pytest.raises(UserError, match="b.jpg is not a folder"):
        predict(lambda image: pytest.fail("the network ran"), [folder / "c.jpg"], folder / "b.jpg" / "out")
