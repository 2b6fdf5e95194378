"""Two results of one set, picture by picture: is the difference real?"""

from __future__ import annotations

import dataclasses

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.intervals import Draws, draw, drawn_iou, interval, iou_of, mean_over_classes
from deeplab_tf.evaluation.parts import Part


@dataclasses.dataclass(frozen=True)
class Comparison:
    """B minus A, in fractions; intervals are of a paired bootstrap: the same pictures or sequences are drawn for both.

    Attributes:
      stage: "before" or "after" the CRF.
      class_names: by class id.
      means: mean IoU of A and B.
      ious: float64 [2, K].
      interval: of the difference of the means, None where it cannot be told.
      class_intervals: of the differences by class.
      worse: share of the draws in which B is not better than A.
      draws: what was drawn.
      pictures: (id, mean IoU of the picture in A, in B), those that changed most first.
    """

    stage: str
    class_names: tuple[str, ...]
    means: tuple[float, float]
    ious: np.ndarray
    interval: tuple[float, float] | None
    class_intervals: tuple[tuple[float, float] | None, ...]
    worse: float
    draws: Draws
    pictures: tuple[tuple[str, float, float], ...]

    @property
    def difference(self) -> float:
        return self.means[1] - self.means[0]

    def verdict(self) -> str:
        """One sentence: real, or within chance."""
        what = f"{100 * self.difference:+.2f} points of mean IoU"
        if self.interval is None:
            return f"{what}: too few {self.draws.over} to tell chance from it."
        low, high = (100 * end for end in self.interval)
        span = f"95 % interval {low:+.2f} to {high:+.2f}, {self.draws.units} {self.draws.over}, paired"
        note = f"; {self.draws.note}" if self.draws.note else ""
        if low <= 0 <= high:
            return f"{what} may be chance ({span}{note})."
        return f"{what} is real: B is {'better' if low > 0 else 'worse'} than A ({span}{note})."


def compare(one: Part, other: Part) -> Comparison:
    """B = `other` against A = `one`, after the CRF where both have it.

    Raises:
      UserError: they are of different data sets, label tables, pictures or masks.
    """
    refuse_others(one, other)
    stage = "after" if "after" in one.stages and "after" in other.stages else "before"
    counts = [part.stages[stage]["classes"] for part in (one, other)]
    ignored = one.about["ignored"]
    draws = draw(one.ids, one.about["dataset"])
    drawn = [drawn_iou(draws, each, ignored) for each in counts]
    difference = mean_over_classes(drawn[1]) - mean_over_classes(drawn[0])
    ious = np.stack([iou_of(each.sum(axis=0), ignored) for each in counts])
    alone = [mean_over_classes(part.picture_iou(stage)) for part in (one, other)]
    change = np.nan_to_num(np.abs(alone[1] - alone[0]))
    order = np.argsort(-change, kind="stable")
    return Comparison(
        stage, tuple(one.about["classes"]), tuple(map(float, mean_over_classes(ious))), ious, interval(difference),
        tuple(interval(values) for values in (drawn[1] - drawn[0]).T), float(np.mean(difference <= 0)), draws,
        tuple((one.ids[k], float(alone[0][k]), float(alone[1][k])) for k in order),
    )  # fmt: skip


def refuse_others(one: Part, other: Part) -> None:
    """UserError where two results are not of the same data set, label table, pictures and masks."""
    both = f"{one.path.parent} and {other.path.parent}"
    for name, what in (("dataset", "data sets"), ("classes", "label tables"), ("ignored", "ignored classes")):
        a, b = one.about[name], other.about[name]
        if a != b:
            raise UserError(
                f"{both} are of different {what} ({_short(a)} and {_short(b)}), expected "
                "two results of one set; evaluate both on the same."
            )
    if one.ids != other.ids:
        strange = sorted({*one.ids} ^ {*other.ids})
        example = f"{strange[0]} is in one of them only" if strange else "in another order"
        raise UserError(
            f"{both} are of different pictures ({len(one.ids)} and {len(other.ids)}; "
            f"{example}), expected the same; evaluate both on the same."
        )
    truth = [part.stages["before"]["classes"][:, 1] for part in (one, other)]
    changed = (truth[0] != truth[1]).any(axis=1)
    if one.masks and other.masks:
        changed |= np.not_equal(one.masks, other.masks)
    if changed.any():
        raise UserError(
            f"{both} are of different masks ({one.ids[changed.argmax()]} has other labels), expected the same; evaluate "
            "both again."
        )


def _short(value) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) < 60 else f"{text[:57]}…"
