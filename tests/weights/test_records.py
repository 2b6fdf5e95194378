"""Records of known files: what they say, how a file is recognised, and how one is fetched."""

import hashlib
import importlib

import keras
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.weights import RECORDS, find_record
from deeplab_tf.weights.records import CAFFE_MEAN, fetch, resolve


def test_hashes_and_addresses_are_those_of_the_installed_keras():
    resnet = importlib.import_module("keras.src.applications.resnet")
    for network in ("resnet50", "resnet101"):
        for tail, md5 in zip(("imagenet", "imagenet_notop"), resnet.WEIGHTS_HASHES[network], strict=True):
            record = f"{network}_{tail}"
            assert RECORDS[record].md5 == md5
            assert RECORDS[record].url == resnet.BASE_WEIGHTS_PATH + RECORDS[record].file
    vgg = importlib.import_module("keras.src.applications.vgg16")
    assert RECORDS["vgg16_imagenet"].url == vgg.WEIGHTS_PATH
    assert RECORDS["vgg16_imagenet_notop"].url == vgg.WEIGHTS_PATH_NO_TOP


def test_records_are_complete():
    for name, record in RECORDS.items():
        assert record.name == name and record.network in ("vgg16", "resnet50", "resnet101")
        assert record.trained_on and record.preprocessing.startswith("BGR")
        assert record.contains_val == ("trainval" in record.trained_on)
        assert any("training set" in line for line in record.warnings()) == record.contains_val
        assert any(CAFFE_MEAN in line for line in record.warnings()) == (record.preprocessing == CAFFE_MEAN)
    assert RECORDS["vgg16_imagenet"].md5 == "64373286793e3c8b2b4e3219cbf3544b"


def test_a_file_is_recognised_by_its_name(tmp_path):
    assert find_record(tmp_path / "train2_iter_20000.caffemodel").contains_val
    assert not find_record("train_iter_20000.caffemodel").contains_val
    assert find_record("deeplab_resnet.ckpt.index").name == "drsleep_resnet101_voc"
    assert find_record("mine.npz") is None
    assert find_record("vgg16_imagenet") is RECORDS["vgg16_imagenet"]
    assert find_record("init.caffemodel", "vgg") is None and find_record("init.caffemodel", "resnet") is not None
    assert resolve(tmp_path / "mine.npz") == (None, tmp_path / "mine.npz")


def test_a_record_is_fetched_with_its_checksum(tmp_path, monkeypatch):
    record = RECORDS["vgg16_imagenet_notop"]
    file = tmp_path / record.file
    file.write_bytes(b"something else")
    asked = {}

    def get_file(name, url, **options):
        asked.update(name=name, url=url, **options)
        return str(file)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(UserError, match=hashlib.md5(b"something else").hexdigest()):
        resolve(record.name)
    assert asked["name"] == record.file and asked["file_hash"] == record.md5 and asked["url"] == record.url


def test_no_network_and_no_checksum_are_one_sentence(monkeypatch):
    def get_file(*_, **__):
        raise Exception("URL fetch failure on https://somewhere: None -- Name or service not known")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(UserError, match="could not be fetched.*give its path"):
        fetch(RECORDS["resnet101_imagenet"])
    with pytest.raises(UserError, match="no checksum is known.*init.caffemodel"):
        fetch(RECORDS["deeplab_resnet101_coco"])
