"""What the Keras nets of different years have in common: their names, and the epsilons they imply."""

from collections.abc import Iterable

import numpy as np

from deeplab_tf.published import BATCH_NORM_EPSILON
from deeplab_tf.weights.names import from_keras

APPLICATIONS_EPSILON = 1.001e-5  # keras.applications.resnet
KERAS_DEFAULT_EPSILON = 1e-3  # the first Keras ResNet-50 kept BatchNormalization's default


def source_epsilon(names: Iterable[str]) -> float:
    """Batch norm epsilon of the net that a file's names belong to.

    `conv2_block1_1_bn` is Keras Applications (1.001e-5). Caffe's names with a bias on a residual convolution
    are the first Keras ResNet-50 (1e-3): Caffe's own files and ours have no bias there. Everything else is
    1e-5.
    """
    names = tuple(names)
    if any(name.startswith("conv2_block1_") for name in names):
        return APPLICATIONS_EPSILON
    if any(name.startswith("res") and name.endswith("/bias") for name in names):
        return KERAS_DEFAULT_EPSILON
    return BATCH_NORM_EPSILON


def canonical_tensors(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames `LAYER/VARIABLE` arrays to canonical names; dense kernels become convolutional ones."""
    resnet101 = any(name.startswith("conv4_block23_") for name in arrays)
    renamed = {}
    for name, array in arrays.items():
        layer, _, variable = name.rpartition("/")
        renamed[f"{from_keras(layer, resnet101)}/{variable}"] = _as_convolution(layer, array)
    return renamed


def _as_convolution(layer: str, array: np.ndarray) -> np.ndarray:
    """A dense kernel [in, out] as [1, 1, in, out]; VGG's first as [7, 7, 512, out], Keras flattens HWC."""
    if array.ndim != 2:
        return array
    if layer in ("fc1", "fc6") and array.shape[0] == 7 * 7 * 512:
        return array.reshape(7, 7, 512, array.shape[1])
    return array[None, None]
