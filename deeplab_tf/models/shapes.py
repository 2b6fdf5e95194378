"""The shapes that pass through a network of the zoo, for what is computed from them: memory and arithmetic."""

from __future__ import annotations

import keras


def layer_shapes(network: keras.Model, size: int) -> list[tuple[keras.layers.Layer, list[tuple], tuple]]:
    """(layer, shapes of its inputs, shape of its output) of every layer in order, for one picture of `size` x `size`."""
    layers = network.layers[1:]
    outputs = keras.Model(network.input, [layer.output for layer in layers]).compute_output_shape((1, size, size, 3))
    known = {id(layer.output): shape for layer, shape in zip(layers, outputs, strict=True)}
    known[id(network.input)] = (1, size, size, 3)
    return [(layer, [known[id(x)] for x in inputs_of(layer)], known[id(layer.output)]) for layer in layers]


def inputs_of(layer: keras.layers.Layer) -> list:
    """The tensors that go into a layer."""
    return layer.input if isinstance(layer.input, list) else [layer.input]
