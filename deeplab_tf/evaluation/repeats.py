"""Several trainings of one row: its mean over seeds, and how far a difference between rows may be due to pictures and seeds."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_tf.evaluation.intervals import Draws, draw, drawn_iou, interval, mean_over_classes
from deeplab_tf.evaluation.parts import Part

REGIONS = ("all", "near", "far")  # of a boundary, see `stage.NEAR`


class Term(typing.NamedTuple):
    """One mean IoU of a contrast: `sign` times that of a run, before or after the CRF, in a region round boundaries."""

    sign: int
    run: str
    stage: str = "before"
    region: str = "all"


class Contrast(typing.NamedTuple):
    """A sum of terms: its value, its 95 % interval over drawn pictures and seeds (None: a draw lacks a class's pixels
    altogether), and the value of every seed alone."""

    value: float
    interval: tuple[float, float] | None
    by_seed: tuple[float, ...]


def contrast(terms: Sequence[Term], runs: Mapping[str, Sequence[Part]], dataset: str = "") -> Contrast:
    """The sum of `terms`, with a paired bootstrap: every draw takes the same pictures and the same seeds for all terms.

    Few seeds are drawn from few: with three the interval reaches from about the least to the largest of them, which is
    still narrower than that of all seeds there might be.

    Args:
      terms: what is added up.
      runs: run -> the counts of its evaluations, one a seed, the same seeds in all runs, of the same pictures.
      dataset: as `intervals.draw` takes it.
    """
    parts = runs[terms[0].run]
    draws = draw(parts[0].ids, dataset)
    totals = [np.zeros(len(draws.weights)) for _ in parts]
    whole = np.zeros(len(parts))
    every = Draws(np.ones((1, len(parts[0].ids)), np.int64), draws.over, draws.units, None)
    for term in terms:
        for seed, part in enumerate(runs[term.run]):
            counts = _counts(part, term.stage, term.region)
            totals[seed] += term.sign * mean_over_classes(drawn_iou(draws, counts))
            whole[seed] += term.sign * float(mean_over_classes(drawn_iou(every, counts))[0])
    weights = _drawn_seeds(len(parts), len(draws.weights))
    return Contrast(float(whole.mean()), interval((weights * np.stack(totals, 1)).sum(axis=1)), tuple(map(float, whole)))


def _drawn_seeds(seeds: int, draws: int) -> np.ndarray:
    """float64 [draws, seeds]: the share of every seed in every draw; always the same."""
    return np.random.default_rng(1).multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds


def _counts(part: Part, stage: str, region: str) -> np.ndarray:
    """int64 [pictures, 3, K]."""
    arrays = part.stages[stage]
    return {"all": lambda: arrays["classes"], "near": lambda: arrays["near"],
            "far": lambda: arrays["classes"] - arrays["near"]}[region]()  # fmt: skip
