"""Puts a row of the zoo together: preprocessing, trunk, head."""

from __future__ import annotations

import logging
from typing import Any

import keras

from deeplab_tf.layers.preprocessing import SubtractMean
from deeplab_tf.models.heads import conv_head, fc_head
from deeplab_tf.models.resnet import resnet_trunk
from deeplab_tf.models.vgg16 import average_pool5a, vgg16_trunk
from deeplab_tf.models.zoo import MIN_WIDTH, OUTPUT_STRIDES, get_preset, scaled_rates

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
      frozen_batch_norm: ResNet: fix statistics, gamma and beta and fold them into the kernels; to train from random weights,
        which have no statistics worth keeping, give False.
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
    if num_classes < 1:
        raise ValueError(f"num_classes: got {num_classes}, expected at least 1.")
    rates = scaled_rates(preset.rates, preset.kernel_size, output_stride) if head_rates is None else tuple(head_rates)
    if len(rates) != len(preset.rates):
        raise ValueError(f"head_rates: got {len(rates)}, expected {len(preset.rates)} for {name}.")
    picture, x = _trunk(
        preset.backbone, atrous_method=atrous_method, output_stride=output_stride, width=width, precision=precision,
        frozen_batch_norm=frozen_batch_norm, dilated_pools=dilated_pools, v1_average_pool=v1_average_pool, seed=seed,
    )  # fmt: skip
    head: dict[str, Any] = {"num_classes": num_classes, "kernel_size": preset.kernel_size, "rates": rates,
                            "atrous_method": atrous_method, "seed": seed}  # fmt: skip
    if preset.head == "fc":
        logits = fc_head(x, channels=preset.fc_channels, width=width, dtype=keras.DTypePolicy(precision), **head)
    else:
        logits = conv_head(x, **head)
    return _with_weights(keras.Model(picture, logits, name=name), weights, seed)


def features(
    name: str,
    *,
    weights: str | None = None,
    atrous_method: str = "space_to_batch",
    output_stride: int = 8,
    width: float = 1.0,
    precision: str = "float32",
    frozen_batch_norm: bool = True,
    dilated_pools: bool = False,
    v1_average_pool: bool = False,
    seed: int = 0,
) -> keras.Model:
    """The trunk of a network of the zoo without its head, for a head of one's own.

    Args:
      name: one of `list_models()`; those with one trunk give the same.
      weights, …: as in `build_model`; heads in a weights file are left out.

    Returns:
      A functional model: RGB float32 [batch, height, width, 3] in 0..255 -> [batch, h, w, channels] in the compute type of
      `precision`: 512 * width channels after VGG-16, 2048 * width after the ResNets.

    Raises:
      As `build_model`.
    """
    backbone = get_preset(name).backbone
    picture, x = _trunk(
        backbone, atrous_method=atrous_method, output_stride=output_stride, width=width, precision=precision,
        frozen_batch_norm=frozen_batch_norm, dilated_pools=dilated_pools, v1_average_pool=v1_average_pool, seed=seed,
    )  # fmt: skip
    return _with_weights(keras.Model(picture, x, name=f"{backbone}_features"), weights, seed)


def _trunk(
    backbone, *, atrous_method, output_stride, width, precision, frozen_batch_norm, dilated_pools, v1_average_pool, seed
):  # fmt: skip
    """(picture, features) as Keras tensors."""
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"output_stride: got {output_stride}, expected one of {OUTPUT_STRIDES}.")
    if width < MIN_WIDTH:
        raise ValueError(f"width: got {width}, expected {MIN_WIDTH} or more, which leave every layer a filter.")
    dtype = keras.DTypePolicy(precision)
    shared = {"output_stride": output_stride, "width": width, "atrous_method": atrous_method, "dtype": dtype, "seed": seed}
    picture = keras.Input((None, None, 3), name="picture")
    x = SubtractMean(dtype=dtype, name="subtract_mean")(picture)
    if backbone != "vgg16":
        return picture, resnet_trunk(x, backbone, frozen=frozen_batch_norm, **shared)
    x = vgg16_trunk(x, dilated_pools=dilated_pools, **shared)
    return picture, average_pool5a(x, dtype=dtype) if v1_average_pool else x


def _with_weights(model: keras.Model, weights: str | None, seed: int) -> keras.Model:
    if weights is not None:
        from deeplab_tf.weights.loading import load_weights  # reads files: only where asked for

        _log.info("%s", load_weights(model, weights, seed=seed).table())
    return model
