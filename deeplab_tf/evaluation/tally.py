"""What is counted while an evaluation runs, and its summary as plain values for result.json."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve

_COLLAPSED = (
    0.99  # share of the predictions in one class above which the network is taken to have collapsed
)


class Tally:
    """Confusion matrices and boundary curves of one evaluation.

    Args:
      spec: a DatasetSpec.
      with_crf: whether there are predictions after the CRF too.
      trimap: definition of the boundary band ("void" or "label_change"), None for no curve.
    """

    def __init__(self, spec, with_crf: bool, trimap: str | None):
        self.spec, self.images = spec, 0
        self.before = ConfusionMatrix(spec.num_classes, spec.ignore_label)
        self.after = ConfusionMatrix(spec.num_classes, spec.ignore_label) if with_crf else None
        self.trimap_before = self.trimap_after = None
        if trimap is not None:
            self.trimap_before = TrimapCurve(spec.num_classes, trimap, ignore_label=spec.ignore_label)
            if with_crf:
                self.trimap_after = TrimapCurve(spec.num_classes, trimap, ignore_label=spec.ignore_label)

    def add(self, label: np.ndarray, before: np.ndarray, after: np.ndarray | None) -> None:
        """Counts one picture: its true ids and the predicted ones, integer [height, width]."""
        self.images += 1
        for counts, ids in ((self.before, before), (self.after, after)):
            if counts is not None:
                counts.update(label, ids)
        for curve, ids in ((self.trimap_before, before), (self.trimap_after, after)):
            if curve is not None:
                curve.update(label, ids)

    def running(self) -> dict[str, str]:
        """Mean IoU so far, in %, for the progress bar."""
        values = {"mIoU": self.before} | ({"CRF": self.after} if self.after else {})
        return {name: f"{100 * counts.mean_iou():.2f}" for name, counts in values.items()}

    def rates(self) -> dict:
        """The part of result.json that is counted: rates as fractions, null where there was nothing to count."""
        final = self.after or self.before
        names = self.spec.class_names
        rates = _rates(self.before, names)
        rates["crf"] = None if self.after is None else _rates(self.after, names)
        rates["label_frequency"] = _by_name(names, final.class_frequency())
        rates["images"] = self.images
        if self.trimap_before is not None:
            curves = {"before": self.trimap_before, "after": self.trimap_after}
            rates["trimap"] = {"definition": self.trimap_before.definition} | {
                name: None if curve is None else [_number(value) for value in curve.mean_iou()]
                for name, curve in curves.items()
            }
        return rates


def collapse_warnings(
    before: ConfusionMatrix, after: ConfusionMatrix | None, class_names: Sequence[str]
) -> list[str]:
    """A sentence where nearly all predictions are one class: the network's fault, or the CRF's that left no other."""
    found = _collapsed(before, class_names)
    if found:
        return [f"{found}: the network has collapsed or was not trained; look at the loss, the rate and the labels."]
    found = None if after is None else _collapsed(after, class_names)
    if found:
        return [f"after the CRF {found}, and before it there were others: the CRF erased them; evaluate with --nocrf or search "
                "its parameters with crf_search."]
    return []


def void_warnings(counts: ConfusionMatrix) -> list[str]:
    """A sentence where there is nothing to count."""
    if counts.matrix.any():
        return []
    return ["every pixel of these masks is void, so there is no figure; look at the masks and the label table."]


def _collapsed(counts: ConfusionMatrix, class_names: Sequence[str]) -> str | None:
    predicted = counts.predicted_frequency()
    if counts.num_classes < 2 or np.isnan(predicted).any() or predicted.max() <= _COLLAPSED:
        return None
    k = int(predicted.argmax())
    share, truth = 100 * predicted[k], 100 * counts.class_frequency()[k]
    return f"{share:.1f} % of the predictions are '{class_names[k]}' ({truth:.1f} % of the labels are)"


def _rates(counts: ConfusionMatrix, names: Sequence[str]) -> dict:
    return {
        "mean_iou": _number(counts.mean_iou()),
        "mean_iou_empty_as_one": _number(counts.mean_iou(empty="one")),
        "per_class_iou": _by_name(names, counts.iou()),
        "pixel_accuracy": _number(counts.pixel_accuracy()),
        "mean_accuracy": _number(counts.mean_accuracy()),
        "frequency_weighted_iou": _number(counts.frequency_weighted_iou()),
        "predicted_frequency": _by_name(names, counts.predicted_frequency()),
        "confusion_matrix": counts.matrix.tolist(),
    }


def _by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {name: _number(value) for name, value in zip(names, values, strict=True)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
