"""What the page shows where there is no network: rendered scenes with made score maps. Nothing is trained."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from deeplab_tf.datasets import miniature
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.serving.segmenter import Segmenter

SCENES = {f"scene {number}": seed for number, seed in enumerate((1_000_004, 1_000_009, 1_000_017, 1_000_023), 1)}
_STRIDE = 8  # score maps of the networks have an eighth of the picture's side, section 3.1


@functools.lru_cache(maxsize=len(SCENES))
def scene(name: str) -> np.ndarray:
    """uint8 [height, width, 3] RGB of one of `SCENES`."""
    return miniature.render(SCENES[name])[0]


def made_scores() -> Segmenter:
    """In a network's place: the scenes' masks, blurred and disturbed as a network's scores are. It knows no other picture."""
    spec = get_dataset("miniature")
    return Segmenter("rendered example, made scores", spec.class_names, spec.palette, _segment)


def _segment(image: np.ndarray) -> np.ndarray:
    for name, seed in SCENES.items():
        if np.array_equal(scene(name), image):
            return _probabilities(miniature.render(seed)[1], np.random.default_rng(seed))
    raise UserError(
        "The rendered example has scores of its own scenes only, expected a network for other pictures; start the "
        "page with --workdir, --saved_model or --weights."
    )


def _probabilities(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """float32 [height, width, K]: right but for its outlines, which are coarse, and for doubts here and there."""
    height, width = mask.shape
    classes = get_dataset("miniature").num_classes
    true = np.eye(classes, dtype=np.float32)[np.where(mask < classes, mask, 0)]
    scores = 7 * cv2.GaussianBlur(true, (0, 0), 5)[::_STRIDE, ::_STRIDE]
    scores += cv2.GaussianBlur(random.normal(0, 4, scores.shape).astype(np.float32), (0, 0), 1.2)
    scores = cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
