"""The confusion matrix of a network over a set, without a report: what training asks for on its way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.examples import count_examples, read_examples
from deeplab_tf.inference.segment import segment_labels
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix


def confusion_of(
    model: keras.Model,
    spec,
    examples: Iterable[Mapping],
    *,
    tile: int | Tiles | None = None,
    memory_limit: float | None = None,
    progress: bool = True,
) -> ConfusionMatrix:
    """Counts true and predicted classes of whole pictures at their own size, before any CRF.

    Args:
      model: a network of the zoo or a MultiScale; its weights are read as they are now.
      spec: the DatasetSpec.
      examples: as `evaluate` takes them.
      tile, memory_limit: as `segment` takes them.
      progress: whether to draw a progress bar.

    Raises:
      UserError: a mask does not fit its picture or the label table.
    """
    counts = ConfusionMatrix(spec.num_classes, spec.ignore_label)
    with (
        logging_redirect_tqdm(),  # log lines go above the bar
        tqdm.tqdm(
            read_examples(examples), total=count_examples(examples), desc="evaluation", unit="picture", leave=False,
            dynamic_ncols=True, disable=not progress,
        ) as bar,
    ):  # fmt: skip
        for example in bar:
            labels = segment_labels(model, example.image, tile=tile, memory_limit=memory_limit)
            try:
                counts.update(example.label, labels)
            except ValueError as error:
                raise UserError(f"{example.id}: {error}.") from error
    return counts
