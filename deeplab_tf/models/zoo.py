"""The zoo: every network of the paper's tables as one literal row.

Standard library only, so that names can be checked before TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
import fractions
import math

from deeplab_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Preset:
    """One network: trunk, head and the rates that the paper quotes at output stride 8.

    Attributes:
      backbone: "vgg16", "resnet50" or "resnet101".
      head: "fc" (VGG: fc6 - fc7 - fc8, once per rate) or "conv" (ResNet: one convolution per rate); the
        branches' score maps are summed.
      kernel_size: side of the kernel that looks at the field of view (fc6, or the ResNet head).
      rates: one atrous rate per branch, at output stride 8.
      fc_channels: filters of fc6 and fc7 (VGG only).
      paper: the row of the paper's tables.
    """

    backbone: str
    head: str
    kernel_size: int
    rates: tuple[int, ...]
    fc_channels: int = 0
    paper: str = ""


ASPP_S = (2, 4, 8, 12)
ASPP_L = (6, 12, 18, 24)

PRESETS = {
    "vgg16_fc6_7x7_r4": Preset("vgg16", "fc", 7, (4,), 4096, "Table 1, row 1"),
    "vgg16_fc6_4x4_r4": Preset("vgg16", "fc", 4, (4,), 4096, "Table 1, row 2"),
    "vgg16_fc6_4x4_r8": Preset("vgg16", "fc", 4, (8,), 4096, "Table 1, row 3"),
    "vgg16_largefov": Preset("vgg16", "fc", 3, (12,), 1024, "Table 1, row 4; Tables 2, 3"),
    "vgg16_aspp_s": Preset("vgg16", "fc", 3, ASPP_S, 1024, "Table 3"),
    "vgg16_aspp_l": Preset("vgg16", "fc", 3, ASPP_L, 1024, "Table 3"),
    "resnet101": Preset("resnet101", "conv", 1, (1,), paper="Table 4"),
    "resnet101_largefov": Preset("resnet101", "conv", 3, (12,), paper="Table 4"),
    "resnet101_aspp": Preset("resnet101", "conv", 3, ASPP_L, paper="Table 4"),
    "resnet50": Preset("resnet50", "conv", 1, (1,)),
    "resnet50_largefov": Preset("resnet50", "conv", 3, (12,)),
    "resnet50_aspp": Preset("resnet50", "conv", 3, ASPP_L),
}

OUTPUT_STRIDES = (1, 2, 4, 8, 16, 32)
MIN_WIDTH = 0.008  # half a filter of the narrowest layer's 64, rounded up


def list_models() -> tuple[str, ...]:
    """Names that `build_model` and `--model` know."""
    return tuple(PRESETS)


def get_preset(name: str) -> Preset:
    """Returns the row of the zoo called `name`.

    Raises:
      UserError: the zoo has no such row.
    """
    if name not in PRESETS:
        raise UserError(f"model: got {name!r}, expected one of {', '.join(PRESETS)}; choose one of these.")
    return PRESETS[name]


def size_multiple(output_stride: int, scales: tuple[float, ...] = (1.0,)) -> int:
    """Pictures of this many pixels times n, plus one, have whole score maps with aligned corners at all `scales`.

    8 at output stride 8; 32 for several scales, as the published 0.5, 0.75, 1 need it, or more where others need it (160
    for 0.2, 1); 16 for the scale 0.5 alone.
    """
    denominators = [fractions.Fraction(scale).limit_denominator(100).denominator for scale in scales]
    return output_stride * math.lcm(*denominators, 4 if len(scales) > 1 else 1)


def scaled_rates(rates: tuple[int, ...], kernel_size: int, output_stride: int) -> tuple[int, ...]:
    """Head rates for an output stride, from the rates quoted at stride 8 (they scale by 8 / output_stride).

    A 1x1 kernel has no rate to scale.

    Raises:
      UserError: a scaled rate would be fractional.
    """
    if kernel_size == 1:
        return rates
    for rate in rates:
        if (rate * 8) % output_stride:
            raise UserError(
                f"output_stride {output_stride} turns the head rate {rate} into {rate * 8 / output_stride:g}, "
                f"expected whole rates; give head_rates or another output stride."
            )
    return tuple(rate * 8 // output_stride for rate in rates)
