"""The pictures of a set as NumPy values, and the CRF beside the network that scores them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Example:
    """One picture: uint8 [height, width, 3] RGB and its integer label map [height, width]."""

    id: str
    image: np.ndarray
    label: np.ndarray


def read_examples(examples: Iterable[Mapping]) -> Iterator[Example]:
    """Examples from mappings of NumPy values or a tf.data.Dataset; UserError where a mask is not of its picture's size."""
    if hasattr(examples, "as_numpy_iterator"):
        examples = examples.as_numpy_iterator()
    for example in examples:
        id = example["id"]
        id = id.decode() if isinstance(id, bytes) else str(id)
        image, label = np.asarray(example["image"]), np.asarray(example["label"])
        if image.shape[:2] != label.shape:
            raise UserError(
                f"{id}: the mask has shape {list(label.shape)} and the picture {list(image.shape)}, expected one size."
            )
        yield Example(id, image, label)


def count_examples(examples: Iterable) -> int | None:
    """The length of `examples` where it knows it."""
    try:
        return len(examples)
    except TypeError:
        return None


def refine_beside(
    scored: Iterator, refine: Callable | None, workers: int
) -> Iterator[tuple[Example, np.ndarray, np.ndarray, np.ndarray | None]]:
    """(example, probabilities, ids before, ids after) in order; `refine` runs in threads while the next scores are made.

    Args:
      scored: (example, float32 [height, width, K]), drawn in the caller's thread; at most `workers` + 1 are in work.
      refine: (example, probabilities) -> ids after the CRF, integer [height, width]; None for no CRF.
      workers: threads.
    """
    if refine is None:
        yield from ((example, scores, scores.argmax(axis=-1), None) for example, scores in scored)
        return
    stream = (((example, scores, scores.argmax(axis=-1)), example, scores) for example, scores in scored)
    for (example, scores, before), after in refine_stream(refine, stream, workers, ahead=workers):
        yield example, scores, before, after
