"""Picture and mask files through windows: the pixels that Pillow gives, mapped where they lie in the file; windows; PNGs."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from deeplab_tf.errors import UserError
from deeplab_tf.refining.label_png import LabelPng
from deeplab_tf.refining.rasters import Mask, Picture
from deeplab_tf.refining.windows import windows

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 14, 3)).astype(np.uint8)
IDS = np.random.default_rng(1).integers(0, 5, (11, 14)).astype(np.uint8)
WINDOW = slice(2, 9), slice(3, 13)


def saved(path, array, mode=None, **options):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        (Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "options", "is_mapped"),
    [
        ("a.png", {}, False),
        ("a.npy", {}, True),
        ("a.ppm", {}, True),
        ("a.tif", {}, True),
        ("a.tiff", {"compression": "tiff_deflate"}, False),
    ],
)
def test_pictures(tmp_path, name, options, is_mapped):
    picture = Picture(saved(tmp_path / name, PIXELS, **options))
    assert picture.size == (11, 14)
    np.testing.assert_array_equal(picture.window(*WINDOW), PIXELS[WINDOW])
    assert isinstance(picture._source, np.memmap) == is_mapped


def test_pictures_with_grey_alpha_and_16_bits(tmp_path):
    grey = Picture(saved(tmp_path / "grey.png", PIXELS, "L")).window(*WINDOW)
    assert grey.shape == (7, 10, 3) and (grey == grey[..., :1]).all()
    clear = np.dstack([PIXELS, np.where(IDS > 2, 255, 0).astype(np.uint8)])
    found = Picture(saved(tmp_path / "clear.png", clear)).window(*WINDOW)
    np.testing.assert_array_equal(found, np.where(IDS[..., None] > 2, PIXELS, 255)[WINDOW])
    deep = PIXELS[..., 0].astype(np.uint16) * 257
    found = Picture(saved(tmp_path / "deep.png", deep)).window(*WINDOW)
    np.testing.assert_array_equal(found[..., 1], PIXELS[..., 0][WINDOW])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("name", "is_mapped"), [("a.png", False), ("a.tif", True)])
def test_an_exif_orientation_is_applied_to_the_window(tmp_path, name, is_mapped, orientation):
    """Pillow's own transposition is the oracle."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Picture(saved(tmp_path / name, PIXELS, exif=exif))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / name)))
    assert picture.size == expected.shape[:2] and picture.is_oriented == picture.is_turned == (orientation > 1)
    window = slice(2, 9), slice(3, 10)
    np.testing.assert_array_equal(picture.window(*window), expected[window])
    np.testing.assert_array_equal(picture.as_stored().window(*window), PIXELS[window])
    assert isinstance(picture._source, np.memmap) == is_mapped


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.png", IDS),
        ("a.npy", IDS),
        ("b.npy", IDS.astype(np.int64)),
        ("a.pgm", IDS),
        ("a.tif", IDS),
        ("b.png", IDS > 2),
        ("c.png", IDS.astype(np.uint16)),
    ],
)
def test_masks(tmp_path, name, array):
    mask = Mask(saved(tmp_path / name, array))
    assert mask.palette is None and mask.size == (11, 14)
    found = mask.window(*WINDOW)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, array[WINDOW])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_masks_of_few_bits_hold_what_is_stored(tmp_path, few_bits, bits):
    few_bits(tmp_path / "a.png", IDS % 2**bits, bits)
    np.testing.assert_array_equal(Mask(tmp_path / "a.png").window(*WINDOW), (IDS % 2**bits)[WINDOW])


def test_a_palette_comes_back_as_it_was(tmp_path):
    image = Image.fromarray(IDS)
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(list(range(30, 48)))
    image.save(tmp_path / "a.png", transparency=3)
    mask, file = Mask(tmp_path / "a.png"), io.BytesIO()
    png = LabelPng(file, mask.size, mask.palette, mask.clear)
    for rows in (slice(0, 4), slice(4, 5), slice(5, 11)):
        for columns in (slice(0, 6), slice(6, 7), slice(7, 14)):
            png.put(rows, columns, mask.window(rows, columns))
    png.finish()
    found = Image.open(file)
    assert found.mode == "P" and found.getpalette("RGBA") == Image.open(tmp_path / "a.png").getpalette("RGBA")
    assert found.info["transparency"] == mask.clear
    np.testing.assert_array_equal(found, IDS)


def test_a_grey_png():
    file = io.BytesIO()
    png = LabelPng(file, IDS.shape)
    png.put(slice(0, 11), slice(0, 14), IDS)
    png.finish()
    assert Image.open(file).mode == "L"
    np.testing.assert_array_equal(Image.open(file), IDS)


@pytest.mark.parametrize(
    ("kind", "name", "array", "message"),
    [
        (Mask, "a.png", PIXELS, "in RGB, expected class ids"),
        (Mask, "a.npy", PIXELS, r"\[11, 14, 3\] uint8, expected a mask"),
        (Mask, "a.npy", IDS.astype(np.float32), "float32"),
        (Mask, "a.npy", IDS.astype(np.int64) * 100, "ids from 0 to 400"),
        (Mask, "a.npy", IDS.astype(np.int64) - 1, "ids from -1 to 3"),
        (Picture, "a.npy", IDS, "expected a picture"),
        (Picture, "a.npy", PIXELS.astype(np.float32), "float32"),
        (Picture, "a.tif", IDS.astype(np.float32), "a picture in F"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, kind, name, array, message):
    path = saved(tmp_path / name, array)
    with pytest.raises(UserError, match=message):
        kind(path).window(slice(0, 11), slice(0, 14))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.ppm", "a.tif"])
def test_damaged_files(tmp_path, name):
    path = saved(tmp_path / name, np.random.default_rng(2).integers(0, 256, (90, 80, 3)).astype(np.uint8))
    whole = path.read_bytes()
    for data in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: .*picture"):
            Picture(path)
    with pytest.raises(UserError, match="not there"):
        Picture(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("height", "width", "side", "halo"),
    [(7, 9, 10, 3), (40, 23, 10, 3), (11, 10, 10, 0), (1, 99, 20, 9), (10, 10, 10, 4), (21, 50, 9, 4)],
)
def test_windows_write_every_pixel_once_and_read_no_more_than_they_may(height, width, side, halo):
    written = np.zeros((height, width), int)
    for window in windows(height, width, side, halo):
        written[window.write] += 1
        pixels = np.arange(height * width).reshape(height, width)
        np.testing.assert_array_equal(pixels[window.read][window.inner], pixels[window.write])
        for length, read, write in zip((height, width), window.read, window.write, strict=True):
            assert read.stop - read.start <= side
            assert read.start == max(0, write.start - halo) or length <= side
            assert read.stop == min(length, write.stop + halo) or length <= side
    assert (written == 1).all()
