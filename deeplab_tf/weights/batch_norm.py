"""Makes other nets' batch norm statistics fit a convolution without bias and epsilon 1e-5, exactly.

`gamma * (conv + bias - mean) / sqrt(var + eps) + beta` depends on mean - bias and on var + eps only, so a
bias moves into the mean and the difference between two epsilons into the variance. The new variance may be
below zero by up to 1e-5; with our epsilon added it is positive again, so whoever folds must not clip it.
"""

import numpy as np

from deeplab_tf.published import BATCH_NORM_EPSILON
from deeplab_tf.weights.names import batch_norm_of, layer_of


def absorb(tensors: dict[str, np.ndarray], epsilon: float) -> dict[str, np.ndarray]:
    """Folds the biases of batch-normalised convolutions and the source's epsilon into the statistics.

    Args:
        tensors: canonical name to array.
        epsilon: what the source net added to its variances.

    Returns:
        A new dict without the folded biases; convolutions without batch norm keep theirs.
    """
    result = dict(tensors)
    for name in tensors:
        layer = layer_of(name)
        mean = f"{batch_norm_of(layer)}/moving_mean"
        if name.endswith("/bias") and mean in tensors:
            bias = result.pop(name).astype(np.float64)
            result[mean] = (result[mean].astype(np.float64) - bias).astype(np.float32)
        elif name.endswith("/moving_variance"):
            variance = result[name].astype(np.float64) + (epsilon - BATCH_NORM_EPSILON)
            result[name] = variance.astype(np.float32)
    return result
