"""Caffe's published nets to canonical tensors."""

import pathlib
import re

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.published import BATCH_NORM_EPSILON
from deeplab_tf.weights import batch_norm
from deeplab_tf.weights.caffe_wire import CaffeLayer, read_layers
from deeplab_tf.weights.source import SourceWeights

_SCALE_COPY = re.compile(r"_res0\d+(_|$)")  # conv1_res05, fc1_voc12_res075_c0: the same weights at another scale


def read_caffemodel(path: pathlib.Path) -> SourceWeights:
    """Reads a `.caffemodel` of the V1 or V2 layer list.

    Convolutions turn from [out, in, height, width] to [height, width, in, out]; InnerProduct layers become
    convolutions (fc6 is stored in channel, row, column order). BatchNorm holds sums and their factor: mean
    and variance are divided by it, a factor of 0 makes them 0. The layers that the multi-scale nets repeat
    per scale are skipped.

    Raises:
        UserError: the file is cut off, damaged, no Caffe net, or a layer has other blobs than its type has.
    """
    tensors: dict[str, np.ndarray] = {}
    skipped, notes, layers = [], [], 0
    with open(path, "rb") as file:
        for layer in read_layers(path, file):
            layers += 1
            if not layer.blob_count:
                continue
            if _SCALE_COPY.search(layer.name) or layer.type not in _CONVERTERS:
                skipped.append(layer.name)
                continue
            converted = _CONVERTERS[layer.type](path, layer)
            if any(name in tensors for name in converted):
                skipped.append(layer.name)
                continue
            tensors |= converted
            if layer.name == "fc1_coco":
                notes.append("the COCO head fc1_coco is dropped: its classes are not those of the model")
    if not tensors:
        raise UserError(
            f"{path}: {layers} layers, none with weights, expected a trained Caffe net;"
            " take the .caffemodel, not the .prototxt or a solver state"
        )
    copies = sum(bool(_SCALE_COPY.search(name)) for name in skipped)
    if copies:
        notes.append(f"{copies} layers repeated for other scales (_res05, _res075) skipped: the scales share weights")
    return SourceWeights(batch_norm.absorb(tensors, BATCH_NORM_EPSILON), tuple(skipped), tuple(notes))


def _convolution(path: pathlib.Path, layer: CaffeLayer) -> dict[str, np.ndarray]:
    kernel, *bias = _blobs(path, layer, (1, 2))
    if kernel.ndim != 4:
        raise _wrong_shape(path, layer, kernel, "[out, in, height, width]")
    return _with_bias(path, layer, kernel.transpose(2, 3, 1, 0), bias)


def _inner_product(path: pathlib.Path, layer: CaffeLayer) -> dict[str, np.ndarray]:
    kernel, *bias = _blobs(path, layer, (1, 2))
    if kernel.ndim not in (2, 4) or any(size != 1 for size in kernel.shape[:-2]):
        raise _wrong_shape(path, layer, kernel, "[out, in]")
    outputs, inputs = kernel.shape[-2:]
    size = 7 if layer.name == "fc6" and inputs == 512 * 7 * 7 else 1
    kernel = kernel.reshape(outputs, inputs // size**2, size, size)
    return _with_bias(path, layer, kernel.transpose(2, 3, 1, 0), bias)


def _with_bias(path, layer, kernel, bias) -> dict[str, np.ndarray]:
    if bias and bias[0].size != kernel.shape[-1]:
        raise _wrong_shape(path, layer, bias[0], f"[{kernel.shape[-1]}] of the bias")
    return {f"{layer.name}/kernel": np.ascontiguousarray(kernel, np.float32)} | (
        {f"{layer.name}/bias": bias[0].astype(np.float32).reshape(-1)} if bias else {}
    )


def _batch_norm(path: pathlib.Path, layer: CaffeLayer) -> dict[str, np.ndarray]:
    mean, variance, *factor = _blobs(path, layer, (2, 3))
    if mean.size != variance.size or any(value.size != 1 for value in factor):
        raise _wrong_shape(path, layer, variance, f"[{mean.size}]")
    total = float(factor[0].reshape(())) if factor else 1.0
    scale = 0.0 if total == 0 else 1 / total
    variance = variance.astype(np.float64) * scale + (layer.epsilon - BATCH_NORM_EPSILON)
    return {
        f"{layer.name}/moving_mean": (mean.astype(np.float64) * scale).astype(np.float32).reshape(-1),
        f"{layer.name}/moving_variance": variance.astype(np.float32).reshape(-1),
    }


def _scale(path: pathlib.Path, layer: CaffeLayer) -> dict[str, np.ndarray]:
    """`scale2a_branch1` is the second half of `bn2a_branch1`."""
    gamma, *beta = _blobs(path, layer, (1, 2))
    name = re.sub(r"^scale", "bn", layer.name)
    beta = beta[0] if beta else np.zeros_like(gamma)
    if gamma.size != beta.size:
        raise _wrong_shape(path, layer, beta, f"[{gamma.size}]")
    return {
        f"{name}/gamma": gamma.astype(np.float32).reshape(-1),
        f"{name}/beta": beta.astype(np.float32).reshape(-1),
    }


def _blobs(path: pathlib.Path, layer: CaffeLayer, counts: tuple[int, ...]) -> list[np.ndarray]:
    if layer.blob_count not in counts:
        raise UserError(
            f"{path}: layer {layer.name} ({layer.type}) has {layer.blob_count} blobs, expected"
            f" {' or '.join(map(str, counts))}; the file is no net that BVLC Caffe wrote"
        )
    return layer.read_blobs()


def _wrong_shape(path: pathlib.Path, layer: CaffeLayer, blob: np.ndarray, expected: str) -> UserError:
    return UserError(
        f"{path}: layer {layer.name} ({layer.type}) has a blob of shape {blob.shape}, expected {expected};"
        " the file is damaged or of another net"
    )


_CONVERTERS = {
    "Convolution": _convolution,
    "InnerProduct": _inner_product,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
}
