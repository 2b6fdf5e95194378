"""Score and activation maps of one picture, from the files that networks and CAM methods leave."""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from deeplab_tf.crf.scores import load_scores
from deeplab_tf.errors import UserError
from deeplab_tf.refining.pickled_arrays import read_npy

SUFFIXES = (".npy", ".npz")


@dataclasses.dataclass(frozen=True)
class Maps:
    """One map per class.

    Attributes:
        values: float [height, width, maps]; where the file allows it mapped, so that only what is looked at is read.
        ids: the class id of each map, 0..254.
    """

    values: np.ndarray
    ids: tuple[int, ...]

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """float32 [rows, columns, maps], checked to lie in 0..1.

        Raises:
            UserError: they do not, or are NaN.
        """
        found = np.ascontiguousarray(self.values[rows, columns], np.float32)
        if found.size and not (found.min() >= -1e-3 and found.max() < 1.001):  # what enlarging may overshoot
            raise UserError(
                f"maps: got values from {found.min():.4g} to {found.max():.4g}, expected 0..1 without NaN; apply "
                "softmax to logits, divide activation maps by their maximum."
            )
        return np.clip(found, 0, 1)


def read_maps(path: str | os.PathLike, size: tuple[int, int], without_background: bool) -> Maps:
    """The maps of a picture of `size` (height, width).

    `.npz` is what `crf.scores.save_scores` wrote. `.npy` holds an array [height, width, maps] or [maps, height, width], a
    dict {class: map} as AffinityNet writes it, or {"keys": classes, "high_res" or "cam": maps} as IRN does.

    Args:
        without_background: the file leaves out class 0, so that its first class, or its class "0", is class 1.

    Raises:
        UserError: names the file: it is missing or damaged, holds something else, maps of another size, or maps whose layout
            the size does not tell.
    """
    if pathlib.Path(path).suffix == ".npz":
        keys, maps = None, load_scores(path)
    else:
        found = read_npy(path)
        keys, maps = _taken_apart(path, found)
        if isinstance(found, dict) and "keys" in found and not without_background:
            raise UserError(f"{path}: holds maps of objects alone, as IRN writes them; give --preset=irn or --background=.")
    values = _classes_last(path, maps, size)
    keys = range(values.shape[2]) if keys is None else keys
    if len(keys) != values.shape[2]:
        raise UserError(
            f"{path}: got {values.shape[2]} maps for {len(keys)} classes, expected one map per class; write the file anew."
        )
    ids = tuple(int(key) + bool(without_background) for key in keys)
    if not all(0 <= number < 255 for number in ids) or len(set(ids)) < len(ids):
        raise UserError(
            f"{path}: got the class ids {', '.join(map(str, ids))}, expected different ones in 0..254; write the file anew."
        )
    return Maps(values, ids)


def _taken_apart(path, found: Any) -> tuple[Any, Any]:
    """(class of each map or None, the maps) of what a .npy file held."""
    if isinstance(found, dict) and "keys" in found:
        maps = found.get("high_res", found.get("cam"))
        if maps is None:
            raise UserError(f"{path}: got a dict of {', '.join(map(str, found))}, expected keys with high_res or cam.")
        return np.ravel(found["keys"]).tolist(), maps
    if isinstance(found, dict) and all(isinstance(key, int | np.integer) for key in found):
        if len({np.shape(one) for one in found.values()}) > 1:
            raise UserError(f"{path}: got maps of different sizes, expected one size; write the file anew.")
        return list(found), np.stack(list(found.values())) if found else None
    if isinstance(found, np.ndarray):
        return None, found[None] if found.ndim == 2 else found
    raise UserError(
        f"{path}: got a {type(found).__name__}, expected an array of maps, a dict of class to map, or keys with "
        "high_res or cam."
    )


def _classes_last(path, maps, size: tuple[int, int]) -> np.ndarray:
    if maps is None or not np.size(maps):
        return np.zeros((*size, 0), np.float32)  # a picture without any class
    if not isinstance(maps, np.ndarray) or maps.ndim != 3 or maps.dtype.kind not in "fiu":
        got = f"{list(np.shape(maps))} {getattr(maps, 'dtype', type(maps).__name__)}"
        raise UserError(f"{path}: got maps of shape {got}, expected numbers [height, width, maps] or [maps, height, width].")
    last, first = maps.shape[:2] == tuple(size), maps.shape[1:] == tuple(size)
    if last and first:
        raise UserError(
            f"{path}: got maps of shape {list(maps.shape)}, which may be [height, width, maps] or [maps, height, "
            "width]; save them as a dict of class to map."
        )
    if not last and not first:
        raise UserError(
            f"{path}: got maps of shape {list(maps.shape)} for a picture {size[1]} wide and {size[0]} high, "
            "expected its size; enlarge them to it."
        )
    return maps if last else np.moveaxis(maps, 0, -1)
