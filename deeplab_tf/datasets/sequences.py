"""Whether pictures are the same, or frames of one sequence, by names and thumbnails. NumPy and OpenCV."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

import cv2
import numpy as np

# Pictures whose grey 16x16 thumbnails differ by at most so many levels of 255 on average are the same.
_NEAR_DUPLICATE_LEVELS = 1.5
_THUMBNAIL = (16, 16)
# Of independent pictures the namesake nearest in number is nearer in looks than half of the others, give or take
# 0.29 / sqrt(pictures). Measured: CamVid val 0.02, membrane sections 0.07 to 0.25, VOC 0.30 to 0.41, COCO 0.42 to 0.51.
_RANK_OF_CHANCE, _RANK_SPREAD, _MOST_RANK = 0.5, 0.29, 0.25
_FAR = 10  # steps between the numbers of a sequence's trained pictures, beyond which a picture is of another one


def thumbnail(image: np.ndarray) -> np.ndarray:
    """int16 [16, 16] grey levels of uint8 [height, width, 3] RGB."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.int16)


def near_duplicates(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Pictures of `after` that look the same as one of `before`, and which; both: name -> thumbnail."""
    if not before:
        return {}
    names, thumbnails, found = list(before), np.array(list(before.values())), {}
    for name, one in after.items():
        distances = np.abs(thumbnails - one).mean((1, 2))
        nearest = int(distances.argmin())
        if distances[nearest] <= _NEAR_DUPLICATE_LEVELS:
            found[name] = names[nearest]
    return found


def same_sequence(trained: Mapping[str, np.ndarray], held_out: Mapping[str, np.ndarray]) -> list[str]:
    """Held-out pictures that are frames of the sequences that are trained on; empty where nothing speaks for it.

    Names alone do not tell a sequence from a numbered collection. So for every held-out picture the trained one nearest in
    number (same name apart from it) is ranked by its looks among all trained ones: frames before and after come first.

    Args:
      trained, held_out: id -> thumbnail.
    """
    frames = defaultdict(list)
    for name in trained:
        stem, number = _frame(name)
        if number is not None:
            frames[stem].append((number, name))
    spacing = {
        stem: np.median(np.diff(sorted(number for number, _ in group)) if len(group) > 1 else [1])
        for stem, group in frames.items()
    }
    names, thumbnails = list(trained), np.array(list(trained.values()))
    ranks = {}
    for name, one in held_out.items():
        stem, number = _frame(name)
        if number is not None and stem in frames and len(names) > 1:
            nearest, neighbour = min(frames[stem], key=lambda frame: abs(frame[0] - number))
            if abs(nearest - number) > _FAR * spacing[stem]:
                continue  # numbered apart: one neighbour for all of them would say how usual that one looks
            neighbour = names.index(neighbour)
            distances = np.abs(thumbnails - one).mean((1, 2))
            ranks[name] = float((distances < distances[neighbour]).sum()) / (len(names) - 1)
    if not ranks:
        return []
    chance = _RANK_OF_CHANCE - 3 * _RANK_SPREAD / np.sqrt(len(ranks))
    return list(ranks) if np.mean(list(ranks.values())) < min(chance, _MOST_RANK) else []


def _frame(name: str) -> tuple[str, int | None]:
    """The name around its last number, and that number: 0016E5_07959 -> "0016E5_#", 7959."""
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", name, re.DOTALL)
    return (f"{found[1]}#{found[3]}", int(found[2])) if found else (name, None)
