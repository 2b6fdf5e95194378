"""One record per known weights file: where it comes from, what input it expects, what it was trained on."""

import hashlib
import os
import pathlib
from dataclasses import dataclass

from deeplab_tf.errors import UserError

KERAS_VGG_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
KERAS_RESNET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
CAFFE_MEAN = "BGR minus (103.939, 116.779, 123.68), no scaling"
DEEPLAB_MEAN = "BGR minus (104.008, 116.669, 122.675), no scaling"
DRSLEEP_MEAN = "BGR minus (104.00699, 116.66877, 122.67892), no scaling"


@dataclass(frozen=True)
class WeightsRecord:
    """A known weights file.

    Attributes:
        name: what `build_model(weights=...)` and `load_weights` take in place of a path.
        file: the published file name, by which a local copy is recognised.
        network: architecture of the backbone.
        preprocessing: what the network's first convolution was trained to see; the models here subtract
            DeepLab's mean.
        trained_on: data and split.
        md5: checksum, None where none is known.
        url: where the file is published, None where it has to be found by hand.
        contains_val: whether VOC 2012 val was among the training pictures.
        note: what else to know.
    """

    name: str
    file: str
    network: str
    preprocessing: str
    trained_on: str
    md5: str | None = None
    url: str | None = None
    contains_val: bool = False
    note: str = ""

    def warnings(self) -> tuple[str, ...]:
        """What a user of the file must be told: its training data, and its input where ours differs."""
        said = [f"{self.name}: trained on {self.trained_on}"]
        if self.contains_val:
            said.append(f"{self.name}: VOC 2012 val was in its training set, a score on val says nothing; test only")
        if self.preprocessing != DEEPLAB_MEAN:
            said.append(
                f"{self.name}: trained with {self.preprocessing}; the models here keep {DEEPLAB_MEAN}, as DeepLab's"
                " own training from these weights did"
            )
        return tuple(said + ([f"{self.name}: {self.note}"] if self.note else []))


def _imagenet(name, file, network, md5, url, note=""):
    return WeightsRecord(name, file, network, CAFFE_MEAN, "ImageNet (ILSVRC train)", md5, url + file, note=note)


def _deeplab(name, file, trained_on, contains_val=False, note=""):
    return WeightsRecord(name, file, "resnet101", DEEPLAB_MEAN, trained_on, contains_val=contains_val, note=note)


# Files, addresses and MD5 as Keras 3.15 publishes them (keras.applications.vgg16, keras.applications.resnet).
# The published Caffe files share their names between archives, so only distinct names are recognised by file.
RECORDS = {
    record.name: record
    for record in (
        _imagenet(
            "vgg16_imagenet",
            "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            "vgg16",
            "64373286793e3c8b2b4e3219cbf3544b",
            KERAS_VGG_URL,
            "holds the classifier: fc6 and fc7 are sub-sampled from it",
        ),
        _imagenet(
            "vgg16_imagenet_notop",
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "vgg16",
            "6d6bbae143d832006294945121d1f1fc",
            KERAS_VGG_URL,
            "fc6 and fc7 start at random",
        ),
        _imagenet(
            "resnet101_imagenet",
            "resnet101_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet101",
            "f1aeb4b969a6efcfb50fad2f0c20cfc5",
            KERAS_RESNET_URL,
        ),
        _imagenet(
            "resnet101_imagenet_notop",
            "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "resnet101",
            "88cf7a10940856eca736dc7b7e228a21",
            KERAS_RESNET_URL,
        ),
        _imagenet(
            "resnet50_imagenet",
            "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            "resnet50",
            "2cb95161c43110f7111970584f804107",
            KERAS_RESNET_URL,
        ),
        _imagenet(
            "resnet50_imagenet_notop",
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "resnet50",
            "4d473c1dd8becc155b73f8504c6f6626",
            KERAS_RESNET_URL,
        ),
        _deeplab(
            "deeplab_resnet101_coco",
            "init.caffemodel",
            "ImageNet, then MS-COCO",
            note="its head fc1_coco (1x1, 91 outputs) is dropped; DeepLab's VGG-16 archive has a file of the same name",
        ),
        _deeplab(
            "deeplab_resnet101_voc_train_aug",
            "train_iter_20000.caffemodel",
            "MS-COCO, then VOC 2012 train_aug",
            note="about 76.4 % mIoU on val as published",
        ),
        _deeplab(
            "deeplab_resnet101_voc_trainval_aug",
            "train2_iter_20000.caffemodel",
            "MS-COCO, then VOC 2012 trainval_aug",
            contains_val=True,
        ),
        WeightsRecord(
            "kazuto1011_resnet101_voc",
            "deeplabv2_resnet101_msc-vocaug-20000.pth",
            "resnet101",
            DEEPLAB_MEAN,
            "MS-COCO, then VOC 2012 train_aug",
            url="https://github.com/kazuto1011/deeplab-pytorch/releases/download/v1.0/deeplabv2_resnet101_msc-vocaug-20000.pth",
        ),
        WeightsRecord(
            "drsleep_resnet101_coco",
            "deeplab_resnet_init.ckpt",
            "resnet101",
            DRSLEEP_MEAN,
            "ImageNet, then MS-COCO",
            note="batch norm epsilon 1e-3",
        ),
        WeightsRecord(
            "drsleep_resnet101_voc",
            "deeplab_resnet.ckpt",
            "resnet101",
            DRSLEEP_MEAN,
            "MS-COCO, then VOC 2012 trainval_aug",
            contains_val=True,
            note="batch norm epsilon 1e-3; converted from train2_iter_20000.caffemodel",
        ),
    )
}


def find_record(path: str | pathlib.Path, network: str = "") -> WeightsRecord | None:
    """The record of that name, or whose file has the same name as `path`; None if there is none.

    Args:
        path: a record's name or a file.
        network: "vgg" or "resnet" where it is known: DeepLab's archives use the same file names for both.
    """
    name = pathlib.Path(path).name.removesuffix(".index")
    return next(
        (record for record in RECORDS.values() if name in (record.file, record.name) and network in record.network), None
    )


def resolve(path: str | os.PathLike, network: str = "") -> tuple[WeightsRecord | None, pathlib.Path]:
    """Record (if known) and local file for a path or a record's name; fetches the file of a named record.

    Raises:
        UserError: the record's file is not there and cannot be fetched, or its checksum is wrong.
    """
    if str(path) not in RECORDS or pathlib.Path(path).exists():
        return find_record(path, network), pathlib.Path(path)
    record = RECORDS[str(path)]
    return record, fetch(record)


def fetch(record: WeightsRecord) -> pathlib.Path:
    """Local file of a record, from Keras' cache or the network, with its checksum held to.

    Raises:
        UserError: no address or checksum is known, the network does not give the file, or the checksum is
            wrong.
    """
    if record.url is None or record.md5 is None:
        where = record.url or "its authors' page"
        raise UserError(
            f"weights record {record.name}: no checksum is known, so {record.file} is not fetched;"
            f" download it from {where} and give its path"
        )
    from keras.utils import get_file

    try:
        file = pathlib.Path(get_file(record.file, record.url, cache_subdir="models", file_hash=record.md5))
    except Exception as error:  # what get_file raises without a network is no narrower
        raise UserError(
            f"weights record {record.name}: {record.url} could not be fetched ({_line(error)});"
            f" download {record.file} by other means and give its path"
        ) from error
    with open(file, "rb") as content:
        found = hashlib.file_digest(content, "md5").hexdigest()
    if found != record.md5:
        raise UserError(f"{file}: MD5 is {found}, expected {record.md5}; delete the file and fetch it again")
    return file


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
