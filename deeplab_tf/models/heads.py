"""The heads: parallel atrous branches whose score maps are summed (ASPP, section 3.2); one branch is LargeFOV."""

from __future__ import annotations

import keras

from deeplab_tf.layers.atrous import AtrousConv2D
from deeplab_tf.layers.dropout import Dropout
from deeplab_tf.models.initial import GAUSSIAN, gaussian, layer_seed


def fc_head(
    x,
    *,
    num_classes: int,
    kernel_size: int,
    rates: tuple[int, ...],
    channels: int,
    width: float,
    atrous_method: str,
    dtype,
    seed: int,
):
    """VGG: fc6 (atrous) - fc7 - fc8 once per rate, dropout .5 after fc6 and fc7; float32 logits.

    fc6 and fc7 of a net of another width keep the spread of their outputs: the deviation of their initial
    weights goes with 1 / sqrt(width).
    """
    branches = []
    channels = round(channels * width)
    for i, rate in enumerate(rates, start=1):
        tag = f"_{i}" if len(rates) > 1 else ""
        y = x
        for number, size, layer_rate in ((6, kernel_size, rate), (7, 1, 1)):
            name, drop = f"fc{number}{tag}", f"drop{number}{tag}"
            y = AtrousConv2D(
                channels,
                size,
                layer_rate,
                atrous_method,
                activation="relu",
                kernel_initializer=gaussian(name, seed, GAUSSIAN / width**0.5),
                dtype=dtype,
                name=name,
            )(y)
            y = Dropout(0.5, seed=layer_seed(drop, seed), dtype=dtype, name=drop)(y)
        branches.append(_scores(y, num_classes, 1, 1, atrous_method, f"fc8_voc12{tag}", seed))
    return _sum(branches)


def conv_head(x, *, num_classes: int, kernel_size: int, rates: tuple[int, ...], atrous_method: str, seed: int):
    """ResNet: one convolution to the classes per rate, without dropout, ReLU or image pooling; float32 logits."""
    names = [f"fc1_voc12_c{i}" for i in range(len(rates))] if len(rates) > 1 else ["fc1_voc12"]
    return _sum(
        [_scores(x, num_classes, kernel_size, rate, atrous_method, name, seed) for name, rate in zip(names, rates, strict=True)]
    )


def _scores(x, num_classes, kernel_size, rate, method, name, seed):
    return AtrousConv2D(
        num_classes, kernel_size, rate, method, kernel_initializer=gaussian(name, seed), dtype="float32", name=name
    )(x)


def _sum(branches):
    return keras.layers.Add(dtype="float32", name="logits")(branches) if len(branches) > 1 else branches[0]
