"""Contrasts over pictures and seeds against a slow loop, and what may not change them."""

import pathlib

import numpy as np
import pytest

from deeplab_tf.evaluation.intervals import draw
from deeplab_tf.evaluation.parts import Part
from deeplab_tf.evaluation.repeats import Contrast, Term, _drawn_seeds, contrast

IDS = tuple(f"scene{number}" for number in range(9))
TERMS = [Term(1, "b", "after"), Term(-1, "a"), Term(2, "b", "before", "near"), Term(-1, "a", "before", "far")]


def part(seed, ids=IDS):
    """Counts as an evaluation leaves them: [pictures, 3, K] right, true, predicted; those near a boundary are some of all."""
    random = np.random.default_rng(seed)
    stages = {}
    for stage in ("before", "after"):
        right = random.integers(1, 90, (len(ids), 4))
        near_right = random.integers(0, right + 1)
        wrong = random.integers(0, 40, (2, len(ids), 4))
        near_wrong = random.integers(0, wrong + 1)
        stages[stage] = {"classes": np.stack([right, right + wrong[0], right + wrong[1]], 1),
                         "near": np.stack([near_right, near_right + near_wrong[0], near_right + near_wrong[1]], 1)}  # fmt: skip
    return Part(pathlib.Path("x"), {}, ids, tuple(range(len(ids))), stages)


@pytest.fixture(scope="module")
def runs():
    return {"a": [part(1), part(2), part(3)], "b": [part(4), part(5), part(6)]}


def slow_mean_iou(counts, times):
    """Of the pictures, each as many times as it was drawn."""
    right, true, predicted = np.zeros(4), np.zeros(4), np.zeros(4)
    for picture, many in zip(counts, times, strict=True):
        for _ in range(many):
            right, true, predicted = right + picture[0], true + picture[1], predicted + picture[2]
    values = [right[k] / (true[k] + predicted[k] - right[k]) for k in range(4) if true[k] + predicted[k] > right[k]]
    return sum(values) / len(values)


def slow(runs, times, seeds):
    total = 0.0
    for seed, share in enumerate(seeds):
        for term in TERMS:
            arrays = runs[term.run][seed].stages[term.stage]
            counts = {"all": arrays["classes"], "near": arrays["near"], "far": arrays["classes"] - arrays["near"]}
            total += share * term.sign * slow_mean_iou(counts[term.region], times)
    return total


def test_a_contrast_is_that_of_a_slow_loop(runs):
    found = contrast(TERMS, runs)
    assert found.value == pytest.approx(slow(runs, [1] * 9, [1 / 3] * 3))
    assert found.by_seed == pytest.approx([slow(runs, [1] * 9, np.eye(3)[seed]) for seed in range(3)])
    draws, seeds = draw(IDS).weights[:300], _drawn_seeds(3, len(draw(IDS).weights))[:300]
    drawn = [slow(runs, times, of_seeds) for times, of_seeds in zip(draws, seeds, strict=True)]
    # The ends of 2,000 draws against those of their first 300: within the noise of a quantile, far below the width.
    width = found.interval[1] - found.interval[0]
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(found.interval, abs=0.15 * width)
    assert min(found.by_seed) < found.value < max(found.by_seed) and found.interval[0] < found.value < found.interval[1]


def test_a_run_compared_with_itself_is_nothing(runs):
    assert contrast([Term(1, "a"), Term(-1, "a")], runs) == Contrast(0.0, (0.0, 0.0), (0.0, 0.0, 0.0))


def test_the_order_of_seeds_and_of_equal_pictures_does_not_matter(runs):
    """Pictures alike, the draws of pictures are all the set: what is left is the seeds, and their mean is that of any order."""
    turned = {name: [parts[2], parts[0], parts[1]] for name, parts in runs.items()}
    assert contrast(TERMS, turned).value == pytest.approx(contrast(TERMS, runs).value)
    order = np.random.default_rng(0).permutation(9)
    moved = {name: [_permuted(one, order) for one in parts] for name, parts in runs.items()}
    assert contrast(TERMS, moved).value == pytest.approx(contrast(TERMS, runs).value)
    assert contrast(TERMS, moved).by_seed == pytest.approx(contrast(TERMS, runs).by_seed)
    width = np.ptp(contrast(TERMS, runs).interval)
    assert contrast(TERMS, moved).interval == pytest.approx(contrast(TERMS, runs).interval, abs=0.1 * width)


def _permuted(one, order):
    stages = {stage: {name: array[order] for name, array in arrays.items()} for stage, arrays in one.stages.items()}
    return Part(one.path, one.about, tuple(one.ids[k] for k in order), one.places, stages)


def test_one_seed_varies_by_pictures_alone_and_more_seeds_that_differ_vary_more(runs):
    alone = {name: parts[:1] for name, parts in runs.items()}
    thrice = {name: parts[:1] * 3 for name, parts in runs.items()}
    assert contrast(TERMS, alone).interval == pytest.approx(contrast(TERMS, thrice).interval)
    assert np.ptp(contrast(TERMS, runs).by_seed) > 0
