"""Gradient check-pointing: the trunk's activations are computed again in the backward pass instead of kept.

The trunk is cut at block boundaries (residual blocks, pools). Only the boundaries' tensors are kept; a segment between
two of them runs once more when its gradients are due. The head stays outside: dropout must not draw its mask twice.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from deeplab_tf.layers import CaffeMaxPool2D, ConvBatchNorm, resolve_method
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.models.shapes import layer_shapes

_NOMINAL_SIZE = 321  # pixels; the choice of cuts hardly depends on it
_BUDGETS = (1, 1.5, 2, 3, 4, 6, 8)  # sizes of a segment that are tried, in largest blocks


def recomputed(model):
    """A stand-in for `model` in a training step: same variables, outputs and gradients, less memory, a third more time.

    Args:
      model: a network of the zoo, or a `MultiScale` of one.

    Returns:
      What is called as `model` is: `(pictures, training=True)`, for a `MultiScale` with `return_all` too.
    """
    if isinstance(model, MultiScale):
        return MultiScale(RecomputedNetwork(model.network), model.scales)
    return RecomputedNetwork(model)


class RecomputedNetwork:
    """A network of the zoo whose trunk keeps only `boundaries`, names of layers, for the backward pass."""

    def __init__(self, network: keras.Model):
        self.network = network
        self.boundaries = choose_boundaries(network)
        tensors = [network.input, *(network.get_layer(name).output for name in self.boundaries), network.output]
        *self._segments, self._head = [keras.Model(a, b) for a, b in zip(tensors[:-1], tensors[1:], strict=True)]

    def __call__(self, pictures, training=False):
        """RGB float32 [batch, height, width, 3] -> logits [batch, h, w, classes]."""
        if not training:
            return self.network(pictures)
        x = tf.convert_to_tensor(pictures)
        for segment in self._segments:
            x = _run(segment, x)
        return self._head(x, training=True)


def _run(segment: keras.Model, x: tf.Tensor) -> tf.Tensor:
    """`segment(x, training=True)`, of which the backward pass keeps `x` alone."""
    trained, fixed = segment.trainable_variables, segment.non_trainable_variables

    def call(x, *values):
        return segment.stateless_call(values[: len(trained)], values[len(trained) :], x, training=True)

    # The variables' values are arguments, so that the gradients need no variable found on the way.
    @tf.custom_gradient
    def run(x, *values):
        def gradients(upstream):
            with tf.control_dependencies([upstream]):  # else the second pass would be merged with the first and kept
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    sources = [x, *values[: len(trained)]]
                    tape.watch(sources)
                    y, _ = call(x, *values)
                return [*tape.gradient(y, sources, output_gradients=upstream), *[None] * len(fixed)]

        y, after = call(x, *values)
        for variable, value, new in zip(fixed, values[len(trained) :], after, strict=True):
            if new is not value:  # unfrozen batch norm moves its statistics, in the first pass alone
                variable.assign(new)
        return y, gradients

    return run(x, *(tf.convert_to_tensor(variable.value) for variable in [*trained, *fixed]))


def choose_boundaries(network: keras.Model, size: int = _NOMINAL_SIZE) -> tuple[str, ...]:
    """Names of the layers whose outputs are kept: those with the least sum of boundaries and largest segment.

    The last one is the end of the trunk.
    """
    blocks = _blocks(network, size)
    largest = max(kept for _, kept, _ in blocks)
    candidates = [_join(blocks, factor * largest) for factor in _BUDGETS]
    best = min(candidates, key=memory_of)
    return tuple(name for name, _, _ in best)


def memory_of(segments) -> float:
    """Bytes that segments (name, kept inside, size of the output) need at most: all outputs and the largest inside."""
    return sum(output for _, _, output in segments) + max(kept for _, kept, _ in segments)


def segments_of(network: keras.Model, size: int) -> list[tuple[str, float, float]]:
    """(last layer, bytes a picture that its backward pass keeps inside, bytes of its output) of every segment."""
    names = choose_boundaries(network)
    segments, kept = [], 0.0
    for name, inside, output in _blocks(network, size):
        kept += inside
        if name in names:
            segments.append((name, kept, output))
            kept = 0.0
    return segments


def _blocks(network, size):
    """The trunk, cut as finely as it can be: after every residual block and every pool."""
    blocks, kept = [], 0.0
    for layer, bytes_kept, bytes_out in activations(network, size):
        kept += bytes_kept
        if isinstance(layer, (keras.layers.ReLU, CaffeMaxPool2D)):
            blocks.append((layer.name, kept, bytes_out))
            kept = 0.0
    return blocks


def _join(blocks, budget):
    """Neighbouring blocks as one while they fit the budget together."""
    joined = []
    for name, kept, output in blocks:
        if joined and joined[-1][1] + kept <= budget:
            kept += joined.pop()[1]
        joined.append((name, kept, output))
    return joined


def activations(network: keras.Model, size: int) -> list[tuple[keras.layers.Layer, float, float]]:
    """(layer, bytes that the backward pass keeps of it, bytes of its output) for one picture of `size` x `size`.

    Convolutions fuse with bias and ReLU, whose result is kept; sums and convolutions without ReLU need nothing kept.
    Space-to-batch keeps the deinterleaved input too; dropout its mask.
    """
    rows = []
    for layer, (first, *_), last in layer_shapes(network, size):
        item = tf.as_dtype(layer.compute_dtype).size
        inputs, output = (item * math.prod(shape[1:]) for shape in (first, last))
        linear = isinstance(layer, (keras.layers.Add, keras.layers.InputLayer)) or (
            isinstance(layer, ConvBatchNorm) and not layer.relu
        )
        kept = 0 if linear else output
        has_holes = getattr(layer, "rate", 1) > 1 and hasattr(layer, "method")
        if has_holes and resolve_method(layer.method, layer.compute_dtype) == "space_to_batch":
            kept += inputs
        if isinstance(layer, keras.layers.Dropout):
            kept *= 2
        rows.append((layer, float(kept), float(output)))
    return rows
