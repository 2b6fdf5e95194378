"""What a run over a folder came to, for people and as JSON."""

import dataclasses
import json
import pathlib

from deeplab_tf.refining.tally import Tally
from deeplab_tf.whole_files import replacing

_A_POINT = 0.01  # of IoU; what a class may lose without a word


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How many pictures were refined now and by an earlier run, the reason of each that failed, and the tally.

    Of those with an EXIF orientation, how many were `turned` upright now and how many taken `as_stored`.
    """

    refined: int
    there: int
    failed: dict[str, str]
    tally: Tally
    turned: int = 0
    as_stored: int = 0

    def write(self, path: pathlib.Path) -> None:
        """JSON, the same whether or not the run was stopped in between.

        Raises:
            UserError: the folder or the disk refuses.
        """
        report = {"pictures": self.refined + self.there, "failed": self.failed, "judged": self.tally.pictures}
        if self.tally.pictures:
            report |= self.tally.results()
        with replacing(path) as partial:
            partial.write_text(json.dumps(report, indent=2) + "\n")

    def lines(self) -> list[str]:
        """What to tell: how many, which were turned, mIoU before and after, and a warning where the CRF did harm."""
        lines = [f"{self.refined} pictures refined" + (f", {self.there} were there" if self.there else "")]
        if self.turned or self.as_stored:
            lines.append(
                f"{self.turned + self.as_stored} pictures have an EXIF orientation: {self.turned} turned upright as predict "
                f"does, {self.as_stored} taken as stored, whose masks or maps fit those pixels alone"
            )
        if not self.tally.pictures:
            return lines
        before, after = self.tally.results().values()
        lines.append(
            f"mIoU {_percent(before['mean_iou'])} before, {_percent(after['mean_iou'])} after, "
            f"{self.tally.pictures} pictures with a true mask"
        )
        true, given = self.tally.ids()
        if given | true > {0} and not (given & true) - {0}:  # what they share by chance is 0
            lines.append(
                f"warning: the masks hold ids {_listed(given)}, the true ones {_listed(true)}: expected both to be numbered "
                "alike; correct one of the folders (predict --label_ids writes the ids of labels.txt)"
            )
        if after["unlabelled"]:
            lines.append(
                f"without a label: {_percent(before['unlabelled'])} of the pixels before, "
                f"{_percent(after['unlabelled'])} after; each counts as missed"
            )
        worse = [
            number for number, iou in before["per_class_iou"].items() if after["per_class_iou"].get(number, 0) < iou - _A_POINT
        ]
        if (after["mean_iou"] or 0) < (before["mean_iou"] or 0):
            lines.append(
                f"warning: the CRF made these masks worse (classes {', '.join(worse) or 'all a little'}); search "
                "parameters for them with deeplab_tf.crf_search, or leave it out"
            )
        elif worse:
            lines.append(f"warning: the CRF made classes {', '.join(worse)} worse by more than 1 % IoU")
        return lines


def _listed(ids: set[int]) -> str:
    return ", ".join(map(str, sorted(ids))) or "none"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f} %"
