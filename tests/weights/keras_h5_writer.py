"""Writes Keras models in the HDF5 layout of Keras 1 and 2, which the published `.h5` files have."""

import h5py
import numpy as np


def write_keras_h5(path, layers):
    """`layers`: layer name to {variable name: array}, in the model's order."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        for layer, variables in layers.items():
            group = file.create_group(layer)
            names = [f"{layer}/{variable}:0" for variable in variables]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, variables.values(), strict=True):
                group.create_dataset(name, data=value)


def layers_of(model):
    """The argument of `write_keras_h5` for a Keras model."""
    return {layer.name: {weight.path.split("/")[-1]: np.asarray(weight) for weight in layer.weights} for layer in model.layers}
