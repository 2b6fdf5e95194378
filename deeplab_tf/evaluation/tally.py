"""What is counted while an evaluation runs: the stages before and after the CRF, over the same pictures."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from deeplab_tf.evaluation.stage import Stage
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve

_COLLAPSED = 0.99  # share of the predictions in one class above which the network is taken to have collapsed


class Tally:
    """The counts of one evaluation, or of a part of it.

    Args:
      spec: a DatasetSpec.
      with_crf: whether there are predictions after the CRF too.
      trimap: definition of the boundary band ("void" or "label_change"), None for no curve.
      ignored: train ids that count as void and have no IoU.

    Attributes:
      ids: of the pictures that were counted; `places` are theirs in the whole set, `masks` checksums of their true ids.
    """

    def __init__(self, spec, with_crf: bool, trimap: str | None, ignored: Sequence[int] = ()):
        self.spec, self.trimap, self.ignored = spec, trimap, tuple(ignored)
        self.stages = {"before": Stage(spec, trimap, ignored)} | ({"after": Stage(spec, trimap, ignored)} if with_crf else {})
        self.ids: list[str] = []
        self.places: list[int] = []
        self.masks: list[int] = []

    def add(
        self, id: str, place: int, label: np.ndarray, before: np.ndarray, after: np.ndarray | None,
        instances: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Counts one picture.

        Args:
          id: its name; `place`: its number in the set.
          label: true ids, integer [height, width].
          before, after: predicted ids, integer [height, width].
          instances: the data set's instance map, integer [height, width], where it has one.
        """
        for stage, ids in zip(self.stages.values(), (before, after), strict=False):
            stage.add(label, ids, instances)
        self.ids.append(id)
        self.places.append(place)
        self.masks.append(_checksum(label))

    @property
    def images(self) -> int:
        return len(self.ids)

    @property
    def before(self) -> ConfusionMatrix:
        return self.stages["before"].counts

    @property
    def after(self) -> ConfusionMatrix | None:
        return self.stages["after"].counts if "after" in self.stages else None

    @property
    def trimap_before(self) -> TrimapCurve | None:
        return self.stages["before"].curve

    @property
    def trimap_after(self) -> TrimapCurve | None:
        return self.stages["after"].curve if "after" in self.stages else None

    def running(self) -> dict[str, str]:
        """Mean IoU so far, in %, for the progress bar."""
        values = {"mIoU": self.before} | ({"CRF": self.after} if self.after else {})
        return {name: f"{100 * counts.mean_iou():.2f}" for name, counts in values.items()}

    def in_order(self) -> Tally:
        """Itself, with the pictures in the order of the set."""
        order = np.argsort(self.places, kind="stable")
        self.ids, self.places, self.masks = ([kept[k] for k in order] for kept in (self.ids, self.places, self.masks))
        for stage in self.stages.values():
            stage.sort(order)
        return self


def _checksum(label: np.ndarray) -> int:
    return zlib.crc32(np.asarray(label, np.uint8).tobytes(), zlib.crc32(str(label.shape).encode()))


def collapse_warnings(before: ConfusionMatrix, after: ConfusionMatrix | None, class_names: Sequence[str]) -> list[str]:
    """A sentence where nearly all predictions are one class: the network's fault, or the CRF's that left no other."""
    found = _collapsed(before, class_names)
    if found:
        return [f"{found}: the network has collapsed or was not trained; look at the loss, the rate and the labels."]
    found = None if after is None else _collapsed(after, class_names)
    if found:
        return [
            f"after the CRF {found}, and before it there were others: the CRF erased them; evaluate with --nocrf or search "
            "its parameters with crf_search."
        ]
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
