import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.datasets import specs
from deeplab_tf.datasets.masks import decode_label, read_label, read_mask_values
from deeplab_tf.errors import UserError

VOC = specs.get_dataset("voc2012")
RANDOM = np.random.default_rng(3)
IDS = RANDOM.choice([*range(21), 255], (37, 53)).astype(np.uint8)


def palette_image(ids, bits=8, extra=False, path=None):
    image = Image.fromarray(ids, "P")
    image.putpalette(RANDOM.integers(0, 256, 3 * 2**bits, np.uint8).tobytes())
    options = {"transparency": 0, "dpi": (72, 72), "gamma": 0.5} if extra else {}
    image.save(path, bits=bits, **options)


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_masks_give_pillows_indices(tmp_path, bits, extra):
    path = tmp_path / "mask.png"
    ids = (IDS % min(2**bits, 21)).astype(np.uint8)
    palette_image(ids, bits, extra, path)
    assert np.array_equal(np.asarray(Image.open(path)), ids)
    assert np.array_equal(read_label(path, VOC), ids)
    assert np.array_equal(read_mask_values(path), ids)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_index_masks_of_8_and_16_bits(tmp_path, dtype):
    Image.fromarray(IDS.astype(dtype)).save(tmp_path / "mask.png")
    assert np.array_equal(read_label(tmp_path / "mask.png", VOC), IDS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_masks_of_few_bits_give_what_is_stored(tmp_path, few_bits, bits):
    stored = (IDS % 2**bits).astype(np.uint8)
    few_bits(tmp_path / "mask.png", stored, bits)
    assert np.array_equal(read_mask_values(tmp_path / "mask.png"), stored)
    assert np.array_equal(read_label(tmp_path / "mask.png", VOC), stored)
    (tmp_path / "labels.txt").write_text("1: a\n0: b\n" + "".join(f"{value}: {value}\n" for value in range(2, 16)))
    swapped = read_label(tmp_path / "mask.png", specs.get_dataset("folder", tmp_path))  # by the table, not as they are
    assert np.array_equal(swapped, np.where(stored < 2, 1 - stored, stored))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_color_masks_by_the_palette_of_the_data_set(tmp_path, mode):
    colors = np.zeros((256, 3), np.uint8)
    colors[:21], colors[255] = VOC.palette, VOC.void_color
    Image.fromarray(colors[IDS]).convert(mode).save(tmp_path / "mask.png")
    assert np.array_equal(read_label(tmp_path / "mask.png", VOC), IDS)


def test_masks_of_0_128_255_by_mapping(tmp_path):
    (tmp_path / "labels.txt").write_text("0: background\n255: cat\n128: void\n")
    spec = specs.get_dataset("folder", tmp_path)
    stored = RANDOM.choice([0, 128, 255], (20, 30)).astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "mask.png")
    expected = np.select([stored == 0, stored == 255], [0, 1], 255)
    assert np.array_equal(read_label(tmp_path / "mask.png", spec), expected)


def test_unknown_values_are_refused_with_file_and_value(tmp_path):
    for value in (21, 254):
        Image.fromarray(np.full((5, 6), value, np.uint8)).save(tmp_path / "mask.png")
        with pytest.raises(UserError, match=rf"mask\.png: label id {value} "):
            read_label(tmp_path / "mask.png", VOC)
    Image.fromarray(np.full((5, 6, 3), 7, np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"mask\.png: colour 7,7,7 "):
        read_label(tmp_path / "mask.png", VOC)


def test_jpeg_masks_are_refused_as_lossy(tmp_path):
    Image.fromarray(IDS).save(tmp_path / "mask.png", format="JPEG")
    with pytest.raises(UserError, match=r"mask\.png: no PNG.*lost its ids"):
        read_label(tmp_path / "mask.png", VOC)


def test_cityscapes_ids_train_ids_and_colors_agree(tmp_path):
    spec = specs.get_dataset("cityscapes")
    rows = [label for label in spec.labels if label.id >= 0 and label.name != "polegroup"]  # has the colour of pole
    choice = RANDOM.integers(0, len(rows), (30, 40))
    for kind, values in (
        ("labelIds", [label.id for label in rows]),
        ("labelTrainIds", [label.train_id for label in rows]),
        ("color", [label.color for label in rows]),
    ):
        Image.fromarray(np.array(values, np.uint8)[choice]).save(tmp_path / f"a_gtFine_{kind}.png")
    expected = np.array([label.train_id for label in rows])[choice]
    for kind in ("labelIds", "labelTrainIds", "color"):
        assert np.array_equal(read_label(tmp_path / f"a_gtFine_{kind}.png", spec), expected), kind


def test_all_voc_masks_equal_pillow(test_data, tmp_path):
    with tarfile.open(test_data / "data" / "voc2012_SegmentationClassAug.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    paths = sorted(map(str, tmp_path.glob("SegmentationClassAug/*.png")))
    assert len(paths) == 12031
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    labels = dataset.map(lambda path: decode_label(tf.io.read_file(path), path, VOC), num_parallel_calls=2)
    for path, label in zip(paths, labels.prefetch(4).as_numpy_iterator(), strict=True):
        assert np.array_equal(label, np.asarray(Image.open(path))), path


def test_real_cityscapes_masks_agree(test_data):
    spec = specs.get_dataset("cityscapes")
    paths = sorted((test_data / "data" / "cityscapes" / "gtFine").glob("val/*/*_labelIds.png"))
    assert len(paths) == 2
    for path in paths:
        ids, train_ids, colors = (
            read_label(str(path).replace("labelIds", kind), spec) for kind in ("labelIds", "labelTrainIds", "color")
        )
        assert np.array_equal(ids, train_ids) and np.array_equal(ids, colors)
