"""DrSleep's TF-1 checkpoints of the published ResNet-101 (V1 and V2 checkpoint formats)."""

import pathlib

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights import batch_norm
from deeplab_tf.weights.source import SourceWeights

EPSILON = 1e-3  # tf.contrib.layers.batch_norm's default, which that port's inference kept
_VARIABLES = {"weights": "kernel", "biases": "bias"} | {
    name: name for name in ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
}


def read_tf1_checkpoint(path: pathlib.Path) -> SourceWeights:
    """Reads a TF-1 checkpoint by its prefix or its `.index` file; its statistics are those of epsilon 1e-3.

    Optimizer slots, step counters and whatever else is no weight are skipped.

    Raises:
        UserError: the checkpoint is damaged or incomplete.
    """
    import tensorflow as tf

    prefix = str(path).removesuffix(".index")
    try:
        reader = tf.train.load_checkpoint(prefix)
        kept, skipped = {}, []
        for name in sorted(reader.get_variable_to_shape_map()):
            layer, _, variable = name.rpartition("/")
            if "/" in layer or not layer or variable not in _VARIABLES:
                skipped.append(name)
            else:
                kept[f"{layer}/{_VARIABLES[variable]}"] = np.asarray(reader.get_tensor(name))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        message = " ".join(str(error).split())
        raise UserError(
            f"{path}: expected a TF-1 checkpoint, got one that cannot be read ({message});"
            " give the prefix that .index and .data-00000-of-00001 share"
        ) from error
    notes = (f"batch norm epsilon {EPSILON:g} absorbed into the variances",)
    has_batch_norm = any(name.endswith("/moving_variance") for name in kept)
    return SourceWeights(batch_norm.absorb(kept, EPSILON), tuple(skipped), notes if has_batch_norm else ())
