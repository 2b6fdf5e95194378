"""DeepLab v2 for TensorFlow and Keras: networks, dense CRF, data, training, evaluation.

Names are imported on first use, so that `import deeplab_tf` is quick and does not load TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

from deeplab_tf.keras_objects import register_with_keras

_PLACES = {
    "AtrousConv1D": "layers",
    "AtrousConv2D": "layers",
    "CaffeSGD": "training.solver",
    "ConfusionMatrix": "metrics.confusion_matrix",
    "CrfParams": "crf.params",
    "DatasetSpec": "datasets.specs",
    "DenseCRF": "crf.dense_crf",
    "ExperimentConfig": "experiment.config",
    "MeanFieldCRF": "models.mean_field_crf",
    "MeanIoU": "training.mean_iou",
    "MultiScale": "models.multi_scale",
    "SegmentationLoss": "training.losses",
    "UserError": "errors",
    "build_model": "models.deeplab",
    "dense_crf_loss": "training.crf_loss",
    "export_saved_model": "serving.saved_model",
    "get_dataset": "datasets.specs",
    "list_models": "models.zoo",
    "load_model": "experiment.loading",
    "load_weights": "weights.loading",
    "resize_align_corners": "layers",
    "segment": "inference.segment",
    "segmentation_loss": "training.losses",
}

if TYPE_CHECKING:  # what type checkers and editors see
    from deeplab_tf.crf.dense_crf import DenseCRF as DenseCRF
    from deeplab_tf.crf.params import CrfParams as CrfParams
    from deeplab_tf.datasets.specs import DatasetSpec as DatasetSpec
    from deeplab_tf.datasets.specs import get_dataset as get_dataset
    from deeplab_tf.errors import UserError as UserError
    from deeplab_tf.experiment.config import ExperimentConfig as ExperimentConfig
    from deeplab_tf.experiment.loading import load_model as load_model
    from deeplab_tf.inference.segment import segment as segment
    from deeplab_tf.layers import AtrousConv1D as AtrousConv1D
    from deeplab_tf.layers import AtrousConv2D as AtrousConv2D
    from deeplab_tf.layers import resize_align_corners as resize_align_corners
    from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix as ConfusionMatrix
    from deeplab_tf.models.deeplab import build_model as build_model
    from deeplab_tf.models.mean_field_crf import MeanFieldCRF as MeanFieldCRF
    from deeplab_tf.models.multi_scale import MultiScale as MultiScale
    from deeplab_tf.models.zoo import list_models as list_models
    from deeplab_tf.serving.saved_model import export_saved_model as export_saved_model
    from deeplab_tf.training.crf_loss import dense_crf_loss as dense_crf_loss
    from deeplab_tf.training.losses import SegmentationLoss as SegmentationLoss
    from deeplab_tf.training.losses import segmentation_loss as segmentation_loss
    from deeplab_tf.training.mean_iou import MeanIoU as MeanIoU
    from deeplab_tf.training.solver import CaffeSGD as CaffeSGD
    from deeplab_tf.weights.loading import load_weights as load_weights

_SUBPACKAGES = (
    "crf",
    "datasets",
    "evaluation",
    "experiment",
    "inference",
    "layers",
    "metrics",
    "models",
    "pages",
    "refining",
    "serving",
    "training",
    "weights",
)

__all__ = sorted([*_PLACES, *_SUBPACKAGES])  # noqa: PLE0605


def __getattr__(name: str):
    if name == "__version__":
        return _version()
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    """Of the installed distribution; in a source tree that is not installed, what its setup.cfg says."""
    import configparser
    import importlib.metadata
    import pathlib

    try:
        return importlib.metadata.version(__name__)
    except importlib.metadata.PackageNotFoundError:
        settings = configparser.ConfigParser()
        settings.read(pathlib.Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
        return settings.get("metadata", "version", fallback="unknown")


def __dir__():
    return __all__


register_with_keras()
