"""What a network computes, as a hash: results that are kept belong to it and to no other."""

from __future__ import annotations

import hashlib
import os
import pathlib

import keras
import numpy as np

_GEOMETRY = ("rate", "dilation_rate", "strides", "stride", "kernel_size", "pool_size", "padding", "epsilon")


def network_digest(model: keras.Model) -> str:
    """Hash of what a network computes: its weights and the geometry of its layers, but not how the holes are made."""
    network = getattr(model, "network", model)
    digest = hashlib.blake2b(digest_size=16)
    for layer in network.layers:
        geometry = {key: getattr(layer, key) for key in _GEOMETRY if hasattr(layer, key)}
        facts = (type(layer).__name__, layer.dtype_policy.name, sorted(geometry.items()))
        digest.update(repr(facts).encode())
    for weight in network.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def path_digest(place: str | os.PathLike) -> str:
    """Hash of a file, or of the files of a folder, by their names below it and their contents."""
    digest, folder = hashlib.blake2b(digest_size=16), pathlib.Path(place)
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode())
            with open(path, "rb") as content:
                digest.update(hashlib.file_digest(content, "blake2b").digest())
    return digest.hexdigest()
