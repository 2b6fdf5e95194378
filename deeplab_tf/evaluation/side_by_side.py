"""The mean IoU of several networks on the same pictures, read once."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tqdm

from deeplab_tf.evaluation.examples import count_examples, read_examples
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix


class SideBySide(typing.NamedTuple):
    """Mean IoU of each network, 0..1, and the number of pictures."""

    mean_iou: tuple[float, ...]
    images: int


def side_by_side(
    networks: Sequence[Callable[[np.ndarray], np.ndarray]],
    examples: Iterable[Mapping],
    num_classes: int,
    ignore_label: int,
    ignored: Sequence[int] = (),
) -> SideBySide:
    """Runs every network on every picture.

    Args:
      networks: uint8 [height, width, 3] RGB -> class ids [height, width].
      examples: mappings with "id", "image" and "label", as `sources.evaluation` gives them.
      num_classes: of the networks.
      ignore_label: id in the masks that does not count.
      ignored: classes that do not count.
    """
    matrices = [ConfusionMatrix(num_classes, ignore_label).ignoring(ignored) for _ in networks]
    images = 0
    for example in tqdm.tqdm(read_examples(examples), "mean IoU", count_examples(examples), unit="picture"):
        for network, matrix in zip(networks, matrices, strict=True):
            matrix.update(example.label, network(example.image))
        images += 1
    return SideBySide(tuple(matrix.mean_iou() for matrix in matrices), images)
