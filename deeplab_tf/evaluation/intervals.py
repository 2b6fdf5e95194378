"""How far a figure may be due to the choice of pictures: bootstrap over pictures, or over the drives they were cut from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

LEVEL, DRAWS = 0.95, 2000
_CAMVID = re.compile(r"(?:.*/)?([0-9A-Za-z]+?)_f?\d+$")  # 0001TP_006690, Seq05VD_f00000
_CITYSCAPES = re.compile(r"(?:.*/)?([a-z-]+_\d{6})_\d{6}$")  # frankfurt_000000_000294


@dataclasses.dataclass(frozen=True)
class Draws:
    """Samples of a set with replacement, the same for everything that is compared.

    Attributes:
      weights: int [draws, pictures], how often each picture was drawn.
      over: "sequences" or "pictures", what was drawn.
      units: how many of them there are.
      note: what a reader must know of it, or None.
    """

    weights: np.ndarray
    over: str
    units: int
    note: str | None


def draw(ids: Sequence[str], dataset: str = "", draws: int = DRAWS) -> Draws:
    """Draws sequences where the ids tell at least two, as the pictures of one drive are hardly more than one sample; else
    pictures. The seed is fixed: the same set gives the same intervals."""
    names = [sequence_of(id, dataset) for id in ids]
    units = list(dict.fromkeys(names))
    note, over = None, "sequences"
    if None in names or len(units) < 2:
        note = None if None in names else (
            f"all pictures are of one sequence ({units[0]}): the interval over pictures is too narrow for other sequences"
        )  # fmt: skip
        names, units, over = list(range(len(ids))), list(range(len(ids))), "pictures"
    elif len(units) < 8:
        note = f"{len(units)} sequences alone: the interval is rough"
    place = {unit: number for number, unit in enumerate(units)}
    member = np.array([place[name] for name in names])
    random = np.random.default_rng(0)
    drawn = random.multinomial(len(units), np.full(len(units), 1 / len(units)), size=draws)
    return Draws(drawn[:, member], over, len(units), note)


def sequence_of(id: str, dataset: str) -> str | None:
    """The drive that a picture was cut from, by its id; None where ids do not tell."""
    pattern = {"camvid": _CAMVID, "cityscapes": _CITYSCAPES}.get(dataset)
    if pattern:
        found = pattern.match(id)
        return found.group(1) if found else None
    folder, slash, _ = id.rpartition("/")
    return folder if slash and dataset == "folder" else None


def drawn_iou(draws: Draws, counts: np.ndarray, ignored: Sequence[int] = ()) -> np.ndarray:
    """IoU of every draw: float64 [draws, K], NaN for an empty class.

    Args:
      draws: of the same pictures.
      counts: int64 [pictures, 3, K]: pixels right, true and predicted of every picture.
      ignored: classes without an IoU.
    """
    pictures, _, classes = counts.shape
    total = draws.weights.astype(np.float64) @ counts.reshape(pictures, -1).astype(np.float64)
    return iou_of(total.reshape(len(total), 3, classes), ignored)


def iou_of(counts: np.ndarray, ignored: Sequence[int] = ()) -> np.ndarray:
    """float64 [..., K], NaN for an empty class and the ignored ones; of [..., 3, K]: pixels right, true and predicted."""
    right, true, predicted = np.moveaxis(counts, -2, 0)
    union = true + predicted - right
    iou = np.divide(right, union, out=np.full(union.shape, np.nan), where=union > 0)
    iou[..., list(ignored)] = np.nan
    return iou


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The middle 95 % of drawn values; None where a draw gave none."""
    values = np.asarray(values)
    if not values.size or np.isnan(values).any():
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_over_classes(iou: np.ndarray) -> np.ndarray:
    """Mean of the classes that have an IoU, [...] of [..., K]; NaN where none has."""
    known = ~np.isnan(iou)
    return np.where(known.any(axis=-1), np.nansum(iou, axis=-1) / np.maximum(known.sum(axis=-1), 1), np.nan)
