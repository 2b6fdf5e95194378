import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.datasets.pictures import decode_part, image_size, read_image

RANDOM = np.random.default_rng(3)
PLACE = tf.TensorSpec([2], tf.int32)
part_of = tf.function(decode_part, input_signature=[tf.TensorSpec([], tf.string), PLACE, PLACE])


def test_jpeg_pictures_equal_cv2(tmp_path):
    image = cv2.resize(RANDOM.integers(0, 256, (9, 11, 3), np.uint8), (83, 61), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=80)
    assert np.array_equal(read_image(tmp_path / "a.jpg"), cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1])


def test_grey_alpha_palette_and_deep_pictures(tmp_path):
    rgba = RANDOM.integers(0, 256, (13, 17, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    alpha = rgba[..., 3:] / 255.0
    assert np.abs(read_image(tmp_path / "alpha.png") - (rgba[..., :3] * alpha + 255 * (1 - alpha))).max() <= 0.51
    for name in ("grey.jpg", "grey.png"):
        Image.fromarray(rgba[..., 0]).save(tmp_path / name)
        expected = np.asarray(Image.open(tmp_path / name))
        assert np.array_equal(read_image(tmp_path / name), np.repeat(expected[..., None], 3, 2))
    cv2.imwrite(str(tmp_path / "deep.png"), rgba[..., :3].astype(np.uint16) * 257)
    assert np.array_equal(read_image(tmp_path / "deep.png"), rgba[..., 2::-1])
    ids = RANDOM.integers(0, 21, (37, 53), np.uint8)
    Image.fromarray(ids, "P").save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "palette.png"), np.asarray(Image.open(tmp_path / "palette.png").convert("RGB")))


@pytest.mark.parametrize("kind", ["4:4:4", "4:2:2", "4:2:0", "progressive", "grey", "png"])
def test_a_part_is_that_part_of_the_whole(tmp_path, kind):
    pixels = np.kron(RANDOM.integers(0, 256, (11, 14, 3)), np.ones((9, 7, 1))).astype(np.uint8)
    image, path = Image.fromarray(pixels).convert("L" if kind == "grey" else "RGB"), tmp_path / f"image.{kind[:3]}"
    subsampling = {"4:4:4": 0, "4:2:2": 1}.get(kind, 2)
    options = {} if kind == "png" else {"quality": 80, "subsampling": subsampling, "progressive": kind == "progressive"}
    image.save(path, "PNG" if kind == "png" else "JPEG", **options)
    data, whole = tf.io.read_file(str(path)), read_image(path)
    assert list(image_size(data, tf.constant([0, 0]))) == [99, 98]
    for _ in range(12):
        height, width = RANDOM.integers(1, (100, 99))
        top, left = RANDOM.integers(0, (100 - height, 99 - width))
        got = part_of(data, tf.constant([top, left], tf.int32), tf.constant([height, width], tf.int32))
        assert np.array_equal(got, whole[top : top + height, left : left + width])
