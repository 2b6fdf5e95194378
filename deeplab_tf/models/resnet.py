"""The ResNet trunks of DeepLab, conv1 to res5c, in the published geometry and names."""

from __future__ import annotations

import keras

from deeplab_tf.layers.conv_batch_norm import ConvBatchNorm
from deeplab_tf.layers.pooling import CaffeMaxPool2D
from deeplab_tf.models.initial import PIXEL_GAIN, he

WIDTHS = (64, 128, 256, 512)  # of the bottlenecks; four times as many leave the block
BLOCKS = {
    "resnet50": ("abc", "abcd", "abcdef", "abc"),
    "resnet101": ("abc", ("a", "b1", "b2", "b3"), ("a", *(f"b{i}" for i in range(1, 23))), "abc"),
}
"""Names of the blocks of stages 2 to 5."""


def resnet_trunk(x, name: str, *, output_stride: int, width: float, atrous_method: str, frozen: bool, dtype, seed: int):
    """[batch, height, width, 3] mean-subtracted BGR -> [batch, h, w, 2048 * width].

    Five places stride by 2: conv1, pool1 and the first block of stages 3, 4 and 5. They do while the product is
    below `output_stride`; after that they step by one pixel and the rate of all that follows doubles (section 3.1),
    so the dense net, sub-sampled, equals the strided one. Output stride 8: rates 2 and 4 in stages 4 and 5.
    """
    place = _Place(output_stride)
    branch_gain = sum(map(len, BLOCKS[name])) ** -0.5  # without weights: keeps the sum of all branches in range

    def conv(x, name, bn_name, filters, kernel_size, strides=1, relu=True, gain=1.0):
        return ConvBatchNorm(
            filters,
            kernel_size,
            bn_name,
            strides=strides,
            rate=place.rate if kernel_size > 1 else 1,
            method=atrous_method,
            relu=relu,
            frozen=frozen,
            kernel_initializer=he(name, seed, gain),
            dtype=dtype,
            name=name,
        )(x)

    strides = place.step()
    x = conv(x, "conv1", "bn_conv1", round(64 * width), 7, strides, gain=PIXEL_GAIN)
    place.moved()
    x = CaffeMaxPool2D(strides := place.step(), place.rate if strides == 1 else 1, dtype=dtype, name="pool1")(x)
    place.moved()
    for stage, (blocks, filters) in enumerate(zip(BLOCKS[name], WIDTHS, strict=True), start=2):
        filters = round(filters * width)
        for block in blocks:
            first = block == "a"
            strides = place.step() if first and stage > 2 else 1
            if first and stage > 2:
                place.moved()  # the stride sits on the 1x1 convolutions: the 3x3 behind it has the new rate
            tag = f"{stage}{block}"
            shortcut = x
            if first:
                shortcut = conv(x, f"res{tag}_branch1", f"bn{tag}_branch1", 4 * filters, 1, strides, relu=False)
            y = conv(x, f"res{tag}_branch2a", f"bn{tag}_branch2a", filters, 1, strides)
            y = conv(y, f"res{tag}_branch2b", f"bn{tag}_branch2b", filters, 3)
            y = conv(y, f"res{tag}_branch2c", f"bn{tag}_branch2c", 4 * filters, 1, relu=False, gain=branch_gain)
            x = keras.layers.Add(dtype=dtype, name=f"res{tag}_sum")([shortcut, y])
            x = keras.layers.ReLU(dtype=dtype, name=f"res{tag}")(x)
    return x


class _Place:
    """Where the network stands: the stride so far and the rate of what follows."""

    def __init__(self, output_stride: int):
        self.output_stride, self.stride, self.rate = output_stride, 1, 1

    def step(self) -> int:
        """Stride of the next place that strided in the original."""
        return 2 if self.stride < self.output_stride else 1

    def moved(self) -> None:
        """Notes that it was passed."""
        if self.stride < self.output_stride:
            self.stride *= 2
        else:
            self.rate *= 2
