"""A network's trunk alone: what is taken over from a training on other classes, as from ImageNet's."""

import os
import pathlib

from deeplab_tf.weights import names
from deeplab_tf.weights.npz import write_arrays
from deeplab_tf.weights.reading import read_weights


def save_trunk(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Writes the weights of `source`, without its head, fc6 and fc7, into `path`, an `.npz` file that `load_weights` reads.

    Raises:
        UserError: `source` cannot be read, or the disk refuses.
    """
    tensors = read_weights(source).tensors
    write_arrays(pathlib.Path(path), {name: array for name, array in tensors.items() if names.is_backbone(name)})
