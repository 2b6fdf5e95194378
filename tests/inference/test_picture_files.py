"""Which pictures a user means, what their results are called, and that they are read upright in every format."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.errors import UserError
from deeplab_tf.inference.picture_files import find_pictures, read_upright


@pytest.fixture
def tree(picture, tmp_path):
    for name in ("a.png", "b c.JPG", "sub/a.png", "sub/deep/d.tif", "._a.png", "notes.txt", "film.mp4"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".txt", ".mp4"):
            path.write_text("a.png\n\nsub/a.png\n")
        else:
            Image.fromarray(picture(20, 30)).save(path, format="PNG" if path.name.startswith("._") else None)
    return tmp_path / "tree"


def names(paths, **options):
    return [picture.name for picture in find_pictures(paths, **options)]


def test_files_folders_patterns_and_lists(tree):
    assert names([tree]) == ["a", "b c", "film"]
    assert names([tree], recursive=True) == ["a", "b c", "film", "sub/a", "sub/deep/d"]
    assert names([tree / "sub" / "*.png"]) == ["a"]
    assert names([tree / "notes.txt"]) == ["a", "sub/a"]
    assert names([tree / "a.png", tree / "*.png"]) == ["a"]  # named twice, meant once
    assert [picture.is_video for picture in find_pictures([tree])] == [False, False, True]


@pytest.mark.parametrize(
    "paths, message",
    [
        (["nowhere"], "nowhere: no such picture, folder or list"),
        (["*.gif"], "nor a pattern that fits one"),
        ([], "No pictures were named"),
        (["a.png", "sub/a.png"], "another picture has the same name"),
        (["empty"], "holds no picture or video .--recursive looks"),
    ],
)
def test_what_cannot_be_meant(tree, paths, message):
    (tree / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        find_pictures([tree / path for path in paths])


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied(picture, tmp_path, orientation, kind):
    """Pillow's own transposition is the oracle; without the tag the pixels are those that training reads."""
    from PIL import ImageOps

    path, exif = tmp_path / f"turned.{kind}", Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(picture(5, 8))
    image.save(path, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    tagged = image.copy()
    tagged.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(tagged))
    np.testing.assert_array_equal(read_upright(path), expected)
    if orientation == 1 and kind == "png":
        np.testing.assert_array_equal(read_upright(path), read_image(path))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP", "GIF", "PPM"])
def test_formats_that_only_pillow_reads(picture, tmp_path, kind):
    path, image = tmp_path / f"x.{kind.lower()}", picture(9, 7) // 64 * 64
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(image).save(path, kind, **options)
    found = read_upright(path)
    assert found.dtype == np.uint8 and found.shape == (9, 7, 3)
    np.testing.assert_array_equal(found, image)


def test_grey_alpha_and_16_bits(picture, tmp_path):
    grey = picture(9, 7)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.tif")
    np.testing.assert_array_equal(read_upright(tmp_path / "grey.tif"), np.repeat(grey[..., None], 3, -1))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.tif")
    np.testing.assert_array_equal(read_upright(tmp_path / "deep.tif"), np.repeat(grey[..., None], 3, -1))
    clear = np.dstack([picture(9, 7), np.zeros((9, 7), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.webp", lossless=True)
    assert (read_upright(tmp_path / "clear.webp") == 255).all()


def test_what_is_no_picture_is_refused_by_name(tmp_path):
    Image.fromarray(np.zeros((3, 4), np.float32)).save(tmp_path / "float.tif")
    (tmp_path / "text.png").write_text("<html>")
    for name, message in (
        ("float.tif", "floating-point"),
        ("text.png", "no format that Pillow knows"),
        ("gone.png", "no such"),
    ):
        with pytest.raises(UserError, match=f"{name}: .*{message}"):
            read_upright(tmp_path / name)
