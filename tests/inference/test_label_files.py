"""Label maps as files, in the network's ids or the data set's own."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.inference.label_files import predict_pictures
from deeplab_tf.inference.segment import segment
from tests.full_disk import full_disk

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 200))


def test_label_ids_are_read_back_as_the_classes_they_stand_for(make_model, picture, tmp_path):
    spec, model, image = get_dataset("cityscapes"), make_model(19), picture(40, 56)
    Image.fromarray(image).save(tmp_path / "street.png")
    expected = segment(model, image).argmax(axis=-1)
    for ids in (None, spec.ids):
        out = tmp_path / str(ids is None)
        (written,) = predict_pictures(model, [tmp_path / "street.png"], out, palette=spec.palette, ids=ids)
        values, colors = np.asarray(Image.open(written)), np.asarray(Image.open(written).convert("RGB"))
        np.testing.assert_array_equal(colors, np.array(spec.palette)[expected])
        if ids is None:
            np.testing.assert_array_equal(values, expected)
        else:
            assert values.min() >= 7 and len(np.unique(values)) > 3  # road is 7; 0 to 6 are not trained
            np.testing.assert_array_equal(read_label(written, spec), expected)
    with pytest.raises(UserError, match="got 1018, expected at most 255"):
        predict_pictures(model, [tmp_path / "street.png"], tmp_path / "c", palette=spec.palette, ids=range(1000, 1019))
    assert not (tmp_path / "c").exists()


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
def test_a_picture_is_never_replaced_by_a_result(make_model, folder, named, overwrite):
    before, out = contents(folder), folder.parent / "link"
    out.symlink_to(folder)
    with pytest.raises(UserError, match="one of the pictures would be replaced by a result; choose another --out"):
        predict_pictures(make_model(), [folder / name for name in named], out, palette=PALETTE, overwrite=overwrite)
    assert contents(folder) == before


def test_results_that_are_there_stay_without_overwrite(make_model, folder):
    out = folder.parent / "out"
    out.mkdir()
    for name in ("b.png", "b_overlay.jpg"):
        (out / name).write_text("mine")
        with pytest.raises(UserError, match=f"{name} is there already; give --overwrite"):
            predict_pictures(make_model(), [folder / "b.jpg"], out, palette=PALETTE)
        assert contents(out) == {name: b"mine"}
        (out / name).unlink()


def test_a_full_disk_leaves_no_half_of_a_result(make_model, folder, picture):
    Image.fromarray(picture(300, 400)).save(folder / "large.png")
    out, model = folder.parent / "out", make_model()
    predict_pictures(model, [folder / "b.jpg"], out, palette=PALETTE)
    small = contents(out)
    with full_disk(40_000), pytest.raises(UserError, match="large_overlay.jpg: cannot be written .File too large"):
        predict_pictures(model, [folder / "b.jpg", folder / "large.png"], out, palette=PALETTE, overwrite=True)
    assert contents(out) == small
    predict_pictures(model, [folder / "large.png"], out, palette=PALETTE)
    assert (out / "large.png").stat().st_size < 40_000 < (out / "large_overlay.jpg").stat().st_size


def test_a_folder_that_cannot_be_written_is_told_before_the_network_runs(make_model, folder, monkeypatch):
    monkeypatch.setattr("deeplab_tf.inference.label_files.segment", lambda *_, **__: pytest.fail("the network ran"))
    with pytest.raises(UserError, match="b.jpg is not a folder"):
        predict_pictures(make_model(), [folder / "c.jpg"], folder / "b.jpg" / "out", palette=PALETTE)
