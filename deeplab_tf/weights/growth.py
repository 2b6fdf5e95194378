"""ResNet-101 from ResNet-50: the 17 blocks that res4 has more start as identities.

A residual block whose last batch norm has gamma = 0 and beta = 0 adds nothing, and its input is already
rectified, so the grown net computes exactly what the small one does. gamma alone is zero: once it is trained,
the gradient reaches the block's convolutions too.
"""

import math
import re
from collections.abc import Mapping

import numpy as np

from deeplab_tf.weights.names import batch_norm_of, block_name

_LAST_OF_50, _LAST_OF_101 = "res4f_branch2c/kernel", "res4b22_branch2c/kernel"
_BLOCKS = {3: 4, 4: 6}  # of ResNet-50, where the two nets name their blocks differently


def grow_resnet(tensors: dict, shapes: dict, seed: int) -> tuple[dict, list[str]]:
    """Renames ResNet-50's tensors to ResNet-101's and adds identity blocks 4b6 ... 4b22.

    Returns:
        The tensors for the model, and notes; unchanged unless the source is a ResNet-50 and the model a
        ResNet-101.
    """
    if not _grows(tensors, shapes):
        return tensors, []
    renames = {
        block_name(stage, index, False): block_name(stage, index, True)
        for stage, count in _BLOCKS.items()
        for index in range(count)
    }
    result = {
        re.sub(r"^(res|bn)(\d\w)_", lambda m: f"{m[1]}{renames.get(m[2], m[2])}_", name): value
        for name, value in tensors.items()
    }
    generator = np.random.default_rng(seed)
    new = [
        f"res{block_name(4, index, True)}_branch{branch}" for index in range(_BLOCKS[4], 23) for branch in ("2a", "2b", "2c")
    ]
    for layer in new:
        result |= _new_layer(layer, shapes, generator)
    return result, [
        f"ResNet-50 grown into ResNet-101: blocks 4b{_BLOCKS[4]} to 4b22 start as identities, unfreeze their"
        " batch norm gammas in training (LoadReport.grown)"
    ]


def grown_variables(source: Mapping, shapes: Mapping) -> tuple[str, ...]:
    """The zero gammas that end the identity blocks: kept frozen, they shut those blocks out for good."""
    if not _grows(source, shapes):
        return ()
    return tuple(f"bn{block_name(4, index, True)}_branch2c/gamma" for index in range(_BLOCKS[4], 23))


def _grows(tensors: Mapping, shapes: Mapping) -> bool:
    return _LAST_OF_50 in tensors and _LAST_OF_101 in shapes and _LAST_OF_101 not in tensors


def _new_layer(layer: str, shapes: dict, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """A He-initialised convolution whose batch norm is the identity, or zero at the end of a block."""
    height, width, channels, filters = shape = shapes[f"{layer}/kernel"]
    norm, last = batch_norm_of(layer), layer.endswith("2c")
    deviation = math.sqrt(2 / (height * width * channels))
    return {
        f"{layer}/kernel": (generator.standard_normal(shape, np.float32) * np.float32(deviation)),
        f"{norm}/gamma": np.full(filters, 0 if last else 1, np.float32),
        f"{norm}/beta": np.zeros(filters, np.float32),
        f"{norm}/moving_mean": np.zeros(filters, np.float32),
        f"{norm}/moving_variance": np.ones(filters, np.float32),
    }
