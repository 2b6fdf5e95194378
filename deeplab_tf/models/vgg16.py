"""The VGG-16 trunk of DeepLab, conv1_1 to pool5, in Caffe's geometry and names."""

from __future__ import annotations

import keras

from deeplab_tf.layers.atrous import AtrousConv2D
from deeplab_tf.layers.pooling import CaffeMaxPool2D
from deeplab_tf.models.initial import PIXEL_GAIN, he

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and filters of each stage; every stage ends in a 3x3 max pool that strided by 2 in the original."""


def vgg16_trunk(x, *, output_stride: int, width: float, atrous_method: str, dtype, seed: int, dilated_pools: bool = False):
    """[batch, height, width, 3] mean-subtracted BGR -> [batch, h, w, 512 * width].

    Pools stride while the product of the strides is below `output_stride`; after that they step by one pixel and
    the rate of what follows doubles (section 3.1). The published net leaves the windows of those pools undilated,
    so it is not the exact dense twin of the strided one; with `dilated_pools` it is.
    """
    stride, rate = 1, 1
    for stage, (convolutions, filters) in enumerate(STAGES, start=1):
        for i in range(1, convolutions + 1):
            name = f"conv{stage}_{i}"
            gain = PIXEL_GAIN if name == "conv1_1" else 1.0
            x = AtrousConv2D(
                round(filters * width),
                3,
                rate,
                atrous_method,
                activation="relu",
                kernel_initializer=he(name, seed, gain),
                dtype=dtype,
                name=name,
            )(x)
        strides = 2 if stride < output_stride else 1
        x = CaffeMaxPool2D(strides, rate if dilated_pools else 1, dtype=dtype, name=f"pool{stage}")(x)
        if strides == 2:
            stride *= 2
        else:
            rate *= 2
    return x


def average_pool5a(x, *, dtype):
    """The 3x3 average pool that only the v1 release had between pool5 and fc6; padded zeros count in the divisor."""
    x = keras.layers.ZeroPadding2D(1, dtype=dtype, name="pad5a")(x)
    return keras.layers.AveragePooling2D(3, 1, dtype=dtype, name="pool5a")(x)
