"""Which pictures a figure shows: by a rule over their mean IoU, never by taste. The rule stands in the caption."""

from __future__ import annotations

import numpy as np


def ranked(values: np.ndarray) -> np.ndarray:
    """Places of the values that are known, lowest first; of equals the first one first."""
    order = np.argsort(values, kind="stable")
    return order[~np.isnan(values[order])]


def spread(values: np.ndarray) -> dict[str, int]:
    """The places a quarter, half and three quarters up, of float [pictures] with at least one that is known."""
    order = ranked(values)
    return _apart(
        {
            name: int(order[int(share * (len(order) - 1))])
            for name, share in (("lower quarter", 0.25), ("median", 0.5), ("upper quarter", 0.75))
        }
    )


def extremes(values: np.ndarray) -> dict[str, int]:
    """The places of the largest, the median and the lowest value."""
    order = ranked(values)
    return _apart({"largest": int(order[-1]), "median": int(order[(len(order) - 1) // 2]), "lowest": int(order[0])})


def worst(values: np.ndarray, count: int) -> list[int]:
    """The places of the lowest values, lowest first."""
    return [int(place) for place in ranked(values)[:count]]


def _apart(places: dict[str, int]) -> dict[str, int]:
    """Without the later ones of equal places: of few pictures one may be several things."""
    return {name: place for k, (name, place) in enumerate(places.items()) if place not in list(places.values())[:k]}
