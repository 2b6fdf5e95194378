"""Score maps on disk, so that a CRF search or a second CRF run needs no network.

A map is kept as -log P in steps of 1/512, so a probability comes back within 0.1 % of itself (below 1e-8: as 1e-8),
each step as its difference to the left neighbour, which zlib packs well: 7 to 13 % of float32 for real 500x375
maps with 21 classes.
"""

import hashlib
import os
import tokenize  # NumPy reads an array's header with it
import zipfile
import zlib

import numpy as np

from deeplab_tf.crf.dense_crf import MIN_PROBABILITY
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing

_STEPS = 512


def picture_digest(image: np.ndarray) -> str:
    """Which picture it is, by its pixels: what is kept of a picture is never taken for another one's of the same name."""
    return hashlib.blake2b(str(image.shape).encode() + np.ascontiguousarray(image).tobytes(), digest_size=16).hexdigest()


def save_scores(path: str | os.PathLike, probs: np.ndarray, picture: str = "") -> None:
    """Write float [height, width, classes] probabilities to `path` (.npz), whole or not at all.

    Args:
        path: of the file.
        probs: in 0..1.
        picture: `picture_digest` of the picture they are the scores of, so that `load_scores` can tell another one.

    Raises:
        ValueError: another shape, or values that are no probabilities.
        UserError: the folder or the disk refuses.
    """
    probs = np.asarray(probs, np.float32)
    if probs.ndim != 3 or not (probs.size and probs.min() >= 0 and probs.max() < 1.001):
        raise ValueError(f"probs: got shape {list(probs.shape)}, expected probabilities in 0..1 as [height, width, classes].")
    steps = np.rint(-np.log(np.clip(probs, MIN_PROBABILITY, 1)) * _STEPS).astype(np.int16)
    with replacing(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, steps=np.diff(steps, axis=1, prepend=np.int16(0)), picture=np.array(picture))


def load_scores(path: str | os.PathLike, picture: str = "") -> np.ndarray:
    """Read what `save_scores` wrote: float32 [height, width, classes].

    Args:
        path: of the file.
        picture: `picture_digest` of the picture at hand; a file that does not know its picture is taken at its name.

    Raises:
        UserError: the file is missing, damaged, no score map, or the scores of another picture.
    """
    try:
        with np.load(path) as file:
            steps, of = file["steps"], str(file["picture"]) if "picture" in file else ""
        if steps.ndim != 3 or steps.dtype != np.int16:
            raise KeyError("steps")
    except FileNotFoundError as error:
        raise UserError(f"score map {path}: is not there; write it with eval --save_scores.") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError) as error:
        raise UserError(f"score map {path}: is damaged or no score map; make it anew with eval --save_scores.") from error
    if picture and of and picture != of:
        raise UserError(f"score map {path}: was made of another picture of this name; make it anew with eval --save_scores.")
    return np.exp(np.cumsum(steps, axis=1, dtype=np.int16).astype(np.float32) * np.float32(-1 / _STEPS))
