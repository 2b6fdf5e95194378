"""Chooses the pictures of a report while an evaluation runs, and keeps them small."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.pages.pictures import label_map, photograph
from deeplab_tf.pages.ranking import Top

_BUDGET = 6_500_000  # bytes of all pictures, so that the page stays under 8 MB
_LEAST = 32_000  # bytes that a picture and its maps need to be worth looking at
_SIDE, _SMALLEST_SIDE = 480, 64  # pixels, longer side of a picture in the page
RIGHT, WRONG, MENDED, SPOILED, NOT_COUNTED = range(5)  # ids of the error map
ERROR_COLORS = np.array(  # RGBA: what is right is clear
    [(0, 0, 0, 0), (220, 38, 38, 255), (34, 160, 80, 255), (234, 130, 10, 255), (128, 128, 128, 70)], np.uint8
)


@dataclasses.dataclass(frozen=True)
class GalleryItem:
    """One picture of the report; image and maps are data URIs.

    Attributes:
      id: name of the picture; `order`: its place in the set.
      image, label, errors: the picture, its true classes, and where the results are wrong (see `error_map`).
      maps: predicted classes, by result.
      counts: confusion matrix of the picture alone, by result.
    """

    id: str
    order: int
    image: str
    label: str
    errors: str
    maps: tuple[str, ...]
    counts: tuple[ConfusionMatrix, ...]

    @property
    def scores(self) -> list[float]:
        """Mean IoU (0..1) over the classes in this picture alone, by result."""
        return [counts.mean_iou() for counts in self.counts]

    def class_scores(self) -> dict[int, list[float]]:
        """IoU by result, of each class that occurs in the picture or a prediction; 0 where a result lacks the class."""
        scores = np.array([counts.iou() for counts in self.counts])
        known = np.flatnonzero(~np.isnan(scores).all(axis=0))
        return {int(k): np.nan_to_num(scores[:, k]).tolist() for k in known}


class Gallery:
    """Pictures for a report: the worst, the best, those that changed most between the first and the last result, and for
    the rest a random sample of the set. Which ones does not depend on the order in which they come, nor on the parts in which
    the set is judged.

    Args:
      palette: RGB by class id, K rows.
      size: pictures to keep, 0 for none; never more than fit a page of 8 MB.
      ignore_label: id of void pixels, drawn transparent.
      changes: share of the pictures that are shown for what they gained or lost, where there is more than one result.
    """

    def __init__(self, palette: Sequence[tuple[int, int, int]], size: int = 12, ignore_label: int = 255, changes: float = 0.25):
        self._palette, self._ignore_label = palette, ignore_label
        clear = np.where(np.arange(256) == ignore_label, 0, 255).astype(np.uint8)
        self._colors = np.column_stack([color_table(palette[:256], ignore_label=ignore_label), clear])
        self.asked, self.size, self.seen = size, min(size, _BUDGET // _LEAST), 0
        self._bytes = _BUDGET // max(self.size, 1)
        changed = int(self.size * changes) // 2
        extremes = (self.size - 2 * changed) // 3
        sizes = {"worst": extremes, "best": extremes, "gained most": changed, "lost most": changed}
        self._groups = {name: Top(size) for name, size in sizes.items()} | {"sample": Top(self.size)}

    def offer(
        self, id: str, image: np.ndarray, label: np.ndarray, *predictions: np.ndarray | None, place: int | None = None
    ) -> None:
        """Keeps the picture if it belongs into the report as far as is known.

        Args:
          id: name of the picture.
          image: uint8 [height, width, 3] RGB.
          label: integer [height, width] true ids.
          predictions: integer [height, width] predicted ids by result, the same number for every picture; None: no such result.
          place: number of the picture in the set; None: the next.
        """
        place = self.seen if place is None else place
        self.seen += 1
        predictions = [ids for ids in predictions if ids is not None]
        counts = [self._count(label, ids) for ids in predictions]
        first, last = counts[0].mean_iou(), counts[-1].mean_iou()
        ranks = {"worst": -last, "best": last, "gained most": last - first, "lost most": first - last}
        ranks["sample"] = _lot(place)
        entered = [
            name for name, rank in ranks.items()
            if not np.isnan(rank) and (rank > 0 or name in ("worst", "best")) and self._groups[name].admits(rank, place)
        ]  # fmt: skip
        if not entered:
            return
        item = self._item(id, place, image, label, predictions, counts)
        for name in entered:
            self._groups[name].add(ranks[name], place, entry=item)

    def items(self) -> list[tuple[GalleryItem, list[str]]]:
        """The pictures in the order of the set, each with the reasons for which it is shown; as many as there is room for."""
        reasons: dict[int, tuple[GalleryItem, list[str]]] = {}
        for name, group in self._groups.items():
            for item in group.entries():
                if name != "sample":
                    reasons.setdefault(item.order, (item, []))[1].append(name)
                elif len(reasons) < self.size:
                    reasons.setdefault(item.order, (item, [name]))
        return [reasons[order] for order in sorted(reasons)]

    def summary(self) -> str:
        """A sentence: which pictures of the set are shown."""
        items = self.items()
        if len(items) == self.seen:
            return f"All {self.seen:,} pictures of the set are shown."
        named = {name: sum(name in reasons for _, reasons in items) for name in _SAID}
        parts = [_SAID[name].format(n) for name, n in named.items() if n]
        bound = f" (of {self.asked:,} asked for: more would not fit a page of 8 MB)" if self.asked > self.size else ""
        return f"{len(items):,} of {self.seen:,} pictures are shown{bound}: {', '.join(parts)}."

    def state(self) -> dict:
        """What `add_state` of a gallery of the same size takes; JSON-able."""
        rows = {name: group.rows() for name, group in self._groups.items()}
        items = {item.order: item for group in rows.values() for *_, item in group}
        return {
            "seen": self.seen,
            "items": [vars(item) | {"counts": [one.matrix.tolist() for one in item.counts]} for item in items.values()],
            "groups": {name: [(rank, item.order) for rank, _, item in group] for name, group in rows.items()},
        }

    def add_state(self, state: Mapping) -> None:
        """Adds the gallery of another part of the set."""
        self.seen += state["seen"]
        items = {row["order"]: self._of_state(row) for row in state["items"]}
        for name, rows in state["groups"].items():
            for rank, place in rows:
                self._groups[name].add(rank, place, entry=items[place])

    def _of_state(self, row: Mapping) -> GalleryItem:
        counts = (ConfusionMatrix.from_matrix(matrix, self._ignore_label) for matrix in row["counts"])
        return GalleryItem(**dict(row) | {"maps": tuple(row["maps"]), "counts": tuple(counts)})

    def _count(self, label: np.ndarray, ids: np.ndarray) -> ConfusionMatrix:
        counts = ConfusionMatrix(len(self._palette), self._ignore_label)
        counts.update(label, ids)
        return counts

    def _item(self, id, place, image, label, predictions, counts) -> GalleryItem:
        errors = error_map(label, predictions[0], predictions[-1], self._ignore_label)
        side, fits = _SIDE, False
        while not fits:
            picture, wrong = photograph(image, side), label_map(errors, ERROR_COLORS, side)
            maps = [label_map(self._drawable(ids), self._colors, side) for ids in (label, *predictions)]
            size = sum(map(len, (picture, wrong, *maps)))
            fits = size <= self._bytes or side == _SMALLEST_SIDE
            side = max(int(0.97 * side * (self._bytes / size) ** 0.5), _SMALLEST_SIDE)
        return GalleryItem(id, place, picture, maps[0], wrong, tuple(maps[1:]), tuple(counts))

    def _drawable(self, ids: np.ndarray) -> np.ndarray:
        """uint8: Pillow's palettes hold 256 colours; what lies beyond is drawn as void is."""
        return np.where((ids < 256) & (ids >= 0), ids, self._ignore_label).astype(np.uint8)


_SAID = {
    "sample": "{} drawn at random", "worst": "the {} worst", "best": "the {} best",
    "gained most": "the {} that gained most", "lost most": "the {} that lost most",
}  # fmt: skip


def _lot(place: int) -> float:
    """0..1 by a picture's number: the highest of a set are drawn from it, whatever its parts are."""
    return float(np.random.default_rng((0, place)).random())


def error_map(label: np.ndarray, first: np.ndarray, last: np.ndarray, ignore_label: int = 255) -> np.ndarray:
    """uint8 [height, width]: RIGHT, WRONG, MENDED (wrong in the first result, right in the last), SPOILED (the other way
    round) or NOT_COUNTED; the two results may be one."""
    was, now = first == label, last == label
    errors = np.select([was & now, ~was & now, was & ~now], [RIGHT, MENDED, SPOILED], WRONG)
    return np.where(label == ignore_label, NOT_COUNTED, errors).astype(np.uint8)
