"""What the runs of the paper in miniature found: every row's mean over seeds, and which of the paper's claims hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from deeplab_tf.evaluation.parts import PICTURES, Part, load_part
from deeplab_tf.evaluation.repeats import Contrast, Term, contrast
from deeplab_tf.experiment.paper_claims import CLAIMS, SAME, Claim
from deeplab_tf.experiment.paper_runs import Training

HOLDS, FAILS, UNDECIDED, FOR_ONE_SEED = "holds", "does not hold", "undecided", "for this seed"


def findings(done: Iterable[Training]) -> dict:
    """Plain values, from the counts that the evaluations of the rows' trainings left in their folders; rates are fractions.

    Returns:
      {"runs": run -> {"seeds", "before": {"mean_iou", "interval", "by_seed"}, "after": the same or None, "trimap": {"before",
      "after"}: mean over seeds by width in pixels}, "claims": [{"claim", "difference", "interval", "by_seed",
      "seeds", "verdict"}]}; what was not run is not there.
    """
    parts: dict[str, dict[int, Part]] = {}
    for one in done:
        parts.setdefault(one.run, {})[one.seed] = load_part(one.result.parent / PICTURES)
    return {
        "runs": {run: _row(run, seeds) for run, seeds in parts.items()},
        "claims": [judged for claim in CLAIMS if (judged := judge(claim, parts)) is not None],
    }


def _row(run: str, seeds: Mapping[int, Part]) -> dict:
    parts = tuple(seeds.values())
    rates = {stage: _rates(contrast([Term(1, run, stage)], {run: parts})) for stage in parts[0].stages}
    curves = {stage: [part.curve(stage, 255) for part in parts] for stage in parts[0].stages}
    trimap = {stage: np.nan_to_num(np.mean([curve.mean_iou() for curve in curves], axis=0)).round(5).tolist()
              for stage, curves in curves.items() if None not in curves}  # fmt: skip
    return {"seeds": sorted(seeds), "before": rates["before"], "after": rates.get("after"), "trimap": trimap}


def _rates(found: Contrast) -> dict:
    return {"mean_iou": found.value, "interval": found.interval, "by_seed": list(found.by_seed)}


def terms_of(claim: Claim) -> list[Term]:
    """The contrast whose value is above 0 where the claim holds; about 0 for "same"."""
    one = claim.better
    if claim.kind == "crf":
        return [Term(1, one, "after"), Term(-1, one, "before")]
    if claim.kind == "boundary":
        return [Term(sign * near, one, stage, region) for near, region in ((1, "near"), (-1, "far"))
                for sign, stage in ((1, "after"), (-1, "before"))]  # fmt: skip
    return [Term(1, one, claim.stage), Term(-1, claim.than, claim.stage)]


def judge(claim: Claim, parts: Mapping[str, Mapping[int, Part]]) -> dict | None:
    """The claim's difference over the seeds that all its runs have, and the verdict; None where one was not run."""
    terms = terms_of(claim)
    seeds = sorted(set.intersection(*({*parts.get(term.run, {})} for term in terms)))
    if not seeds or any(term.stage not in part.stages for term in terms for part in parts[term.run].values()):
        return None
    found = contrast(terms, {term.run: [parts[term.run][seed] for seed in seeds] for term in terms})
    return {
        "claim": claim.text, "difference": found.value,
        "interval": found.interval, "by_seed": list(found.by_seed), "seeds": seeds,
        "verdict": verdict(claim.kind, found.interval, len(seeds)),
    }  # fmt: skip


def verdict(kind: str, ends: Sequence[float] | None, seeds: int) -> str:
    """What an interval says: "same" holds where all of it lies within `SAME`, an order where all of it lies above 0.

    That of a single seed is over pictures alone, which another training need not bear out: the verdict says so.
    """
    if ends is None:
        return UNDECIDED
    low, high = ends
    if kind == "same":
        found = HOLDS if -SAME <= low and high <= SAME else FAILS if low > SAME or high < -SAME else UNDECIDED
    else:
        found = HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED
    return found if found == UNDECIDED or seeds > 1 else f"{found} {FOR_ONE_SEED}"
