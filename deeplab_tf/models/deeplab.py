"""Puts a row of the zoo together: preprocessing, trunk, head."""

from __future__ import annotations

import logging

import keras

from deeplab_tf.layers.preprocessing import SubtractMean
from deeplab_tf.models.heads import conv_head, fc_head
from deeplab_tf.models.resnet import resnet_trunk
from deeplab_tf.models.vgg16 import average_pool5a, vgg16_trunk
from deeplab_tf.models.zoo import OUTPUT_STRIDES, get_preset, scaled_rates

_log = logging.getLogger(__name__)


def build_model(
    name: str,
    num_classes: int = 21,
    *,
    weights: str | None = None,
    atrous_method: str = "space_to_batch",
    output_stride: int = 8,
    head_rates: tuple[int, ...] | None = None,
    width: float = 1.0,
    precision: str = "float32",
    frozen_batch_norm: bool = True,
    dilated_pools: bool = False,
    v1_average_pool: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Builds a network of the zoo.

    Args:
      name: one of `list_models()`.
      num_classes: channels of the logits, background included, ignored label not.
      weights: None (random), a path, or the name of a weights record; see `load_weights`.
      atrous_method: "space_to_batch" (the paper's), "native" or "auto"; all give the same numbers.
      output_stride: 1, 2, 4, 8, 16 or 32 input pixels per logit; the same weights serve all (section 3.1).
      head_rates: atrous rates of the head at this output stride; by default the paper's, scaled by
        8 / output_stride.
      width: factor on the number of filters of all layers but the last.
      precision: "float32", or "mixed_bfloat16": variables and logits stay float32.
      frozen_batch_norm: ResNet: fix statistics, gamma and beta and fold them into the kernels.
      dilated_pools: VGG: dilate the windows of pools whose stride was removed (the published nets do not).
      v1_average_pool: VGG: the average pool before fc6 that only the v1 release had.
      seed: of the initial weights and of dropout.

    Returns:
      A functional model: RGB float32 [batch, height, width, 3] in 0..255, any size -> logits float32 [batch, h, w,
      num_classes] with `h = (height - 1) // output_stride + 1` at sizes of 8n+1.

    Raises:
      UserError: an unknown name, or a head rate that output_stride makes fractional.
      ValueError: another argument out of its range.
    """
    preset = get_preset(name)
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"output_stride: got {output_stride}, expected one of {OUTPUT_STRIDES}.")
    if num_classes < 1:
        raise ValueError(f"num_classes: got {num_classes}, expected at least 1.")
    rates = scaled_rates(preset.rates, preset.kernel_size, output_stride) if head_rates is None else tuple(head_rates)
    if len(rates) != len(preset.rates):
        raise ValueError(f"head_rates: got {len(rates)}, expected {len(preset.rates)} for {name}.")
    dtype = keras.DTypePolicy(precision)
    shared = {"atrous_method": atrous_method, "seed": seed}

    picture = keras.Input((None, None, 3), name="picture")
    x = SubtractMean(dtype=dtype, name="subtract_mean")(picture)
    if preset.backbone == "vgg16":
        x = vgg16_trunk(x, output_stride=output_stride, width=width, dilated_pools=dilated_pools, dtype=dtype, **shared)
        if v1_average_pool:
            x = average_pool5a(x, dtype=dtype)
    else:
        x = resnet_trunk(x, preset.backbone, output_stride=output_stride, width=width, frozen=frozen_batch_norm,
                         dtype=dtype, **shared)
    head = {"num_classes": num_classes, "kernel_size": preset.kernel_size, "rates": tuple(rates)} | shared
    if preset.head == "fc":
        logits = fc_head(x, channels=preset.fc_channels, width=width, dtype=dtype, **head)
    else:
        logits = conv_head(x, **head)
    model = keras.Model(picture, logits, name=name)
    if weights is not None:
        from deeplab_tf.weights.loading import load_weights  # reads files: only where asked for

        _log.info("%s", load_weights(model, weights, seed=seed).table())
    return model
