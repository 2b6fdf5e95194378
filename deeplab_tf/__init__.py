"""DeepLab v2 for TensorFlow and Keras: networks, dense CRF, data, training, evaluation.

Names are imported on first use, so that `import deeplab_tf` is quick and does not load TensorFlow.
"""

import importlib

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

_SUBPACKAGES = (
    "crf", "datasets", "evaluation", "experiment", "inference", "layers", "metrics", "models", "pages", "refining", "serving",
    "training", "weights",
)

__all__ = sorted([*_PLACES, *_SUBPACKAGES])  # noqa: PLE0605


def __getattr__(name: str):
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__


register_with_keras()
