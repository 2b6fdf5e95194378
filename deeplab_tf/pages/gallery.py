"""Chooses the pictures of a report while an evaluation runs, and keeps them small."""

from __future__ import annotations

import base64
import dataclasses
import heapq
import io
import math

import numpy as np
from PIL import Image

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix

_MAX_SIDE = 480  # pixels; about 100 KB for the four maps of a picture


@dataclasses.dataclass(frozen=True)
class GalleryItem:
    """One picture of the report; the maps are data URIs, `after` is None without a CRF.

    `score_before` and `score_after` are the mean IoU (0..1) over the classes in this picture alone.
    """

    id: str
    image: str
    label: str
    before: str
    after: str | None
    score_before: float
    score_after: float | None

    @property
    def score(self) -> float:
        return self.score_before if self.score_after is None else self.score_after


class Gallery:
    """A quarter of the worst pictures, a quarter of the best, and for the rest a random sample of the set.

    Args:
      palette: RGB by class id, K rows.
      size: pictures to keep, 0 for none.
      ignore_label: id of void pixels, drawn transparent.
    """

    def __init__(self, palette: tuple[tuple[int, int, int], ...], size: int = 12, ignore_label: int = 255):
        self._palette, self._ignore_label = palette, ignore_label
        self._extremes = size // 4
        self._sample_size = size - 2 * self._extremes
        self._worst: list = []  # heaps of (rank, -order, item): the least extreme is the first to go
        self._best: list = []
        self._sample: list = []
        self._seen = 0
        self._random = np.random.default_rng(0)

    def offer(
        self, id: str, image: np.ndarray, label: np.ndarray, before: np.ndarray, after: np.ndarray | None
    ) -> None:
        """Keeps the picture if it belongs into the report as far as is known.

        Args:
          id: name of the picture.
          image: uint8 [height, width, 3] RGB.
          label: integer [height, width] true ids.
          before: integer [height, width] predicted ids; `after`: the same after the CRF, or None.
        """
        scores = [None if ids is None else self._mean_iou(label, ids) for ids in (before, after)]
        score = scores[0] if after is None else scores[1]
        place = self._place_in_sample()
        sampled = place is not None
        worst = not math.isnan(score) and self._enters(self._worst, -score)
        best = not math.isnan(score) and self._enters(self._best, score)
        if not (sampled or worst or best):
            return
        maps = [self._png(label), self._png(before), None if after is None else self._png(after)]
        item = GalleryItem(id, _jpeg(image), *maps, *scores)
        if sampled:
            self._sample[place : place + 1] = [(self._seen, item)]
        for heap, enters, rank in ((self._worst, worst, -score), (self._best, best, score)):
            if enters:
                heapq.heappush(heap, (rank, -self._seen, item))
                if len(heap) > self._extremes:
                    heapq.heappop(heap)

    def groups(self) -> dict[str, list[GalleryItem]]:
        """Heading -> pictures; no picture stands twice."""
        sample = [item for _, item in sorted(self._sample, key=lambda entry: entry[0])]
        shown = {item.id for item in sample}
        worst = [item for *_, item in sorted(self._worst, reverse=True) if item.id not in shown]
        shown |= {item.id for item in worst}
        best = [item for *_, item in sorted(self._best, reverse=True) if item.id not in shown]
        groups = {"A random sample": sample, "The worst pictures": worst, "The best pictures": best}
        return {heading: items for heading, items in groups.items() if items}

    def _place_in_sample(self) -> int | None:
        """Reservoir sampling: every picture of the set is kept with the same probability."""
        self._seen += 1
        if len(self._sample) < self._sample_size:
            return len(self._sample)
        place = int(self._random.integers(self._seen))
        return place if place < self._sample_size else None

    def _enters(self, heap: list, rank: float) -> bool:
        return self._extremes > 0 and (len(heap) < self._extremes or rank > heap[0][0])

    def _mean_iou(self, label: np.ndarray, ids: np.ndarray) -> float:
        counts = ConfusionMatrix(len(self._palette), self._ignore_label)
        counts.update(label, ids)
        return counts.mean_iou()

    def _png(self, ids: np.ndarray) -> str:
        # Colours by table: Pillow's palette images hold 256, which is enough for every data set of bytes.
        table = np.zeros((256, 4), np.uint8)
        colors = np.asarray(self._palette, np.uint8)[:256]
        table[: len(colors), :3], table[: len(colors), 3] = colors, 255
        ids = np.where((ids < len(colors)) & (ids >= 0), ids, 255).astype(np.uint8)
        if len(colors) < 256:
            table[255] = (255, 255, 255, 0)
        picture = Image.fromarray(ids, "P")
        picture.putpalette(table[:, :3].tobytes())
        picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.NEAREST)
        transparency = {} if len(colors) == 256 else {"transparency": 255}
        return _data_uri(picture, "PNG", optimize=True, **transparency)


def _jpeg(image: np.ndarray) -> str:
    picture = Image.fromarray(image)
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
    return _data_uri(picture, "JPEG", quality=85)


def _data_uri(picture: Image.Image, kind: str, **options) -> str:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
