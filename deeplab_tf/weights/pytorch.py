"""kazuto1011/deeplab-pytorch's `.pth` files: state dicts of its ResNet-101, read by `torch_pickle`."""

import pathlib
from collections.abc import Mapping

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights.names import from_torch
from deeplab_tf.weights.source import SourceWeights
from deeplab_tf.weights.torch_pickle import read_torch_file


def read_pytorch(path: pathlib.Path) -> SourceWeights:
    """Reads a `.pth` state dict; its batch norm epsilon is Caffe's 1e-5, so the statistics are taken as they are.

    Raises:
        UserError: the file is damaged, or holds anything but tensors under string keys.
    """
    state = read_torch_file(path)
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise UserError(
            f"{path}: expected a PyTorch state dict (names to tensors), got {type(state).__name__}; save model.state_dict()"
        )
    resnet101 = any("layer4.block23." in key for key in state)
    tensors, skipped = {}, []
    for key, value in state.items():
        name = from_torch(key, resnet101)
        if name is None or not isinstance(value, np.ndarray):
            skipped.append(key)
        else:
            tensors[name] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    return SourceWeights(tensors, tuple(skipped))
