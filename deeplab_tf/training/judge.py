"""Evaluations on the way of a run: what the network can do by now, and which checkpoint was the best."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.training.checkpoints import Checkpoints
from deeplab_tf.training.recorder import Recorder

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """An evaluation was asked to end before its last picture."""


class Examples:
    """Examples of a data set as NumPy values, until `stop()` holds: then the next one is `Stopped`."""

    def __init__(self, dataset: tf.data.Dataset, stop: Callable[[], bool]):
        self.dataset, self.stop = dataset, stop

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[dict]:
        for example in self.dataset.as_numpy_iterator():
            if self.stop():
                raise Stopped
            yield example


class Judge:
    """Evaluates a network while it is trained and keeps the best checkpoint by mean IoU.

    The score lies in best.npz beside the weights, with the settings it was judged by: scores of other settings are not
    compared.

    Args:
      evaluate: judges the network as it is now, on `Examples` that end when its argument says so.
      checkpoints: of the run.
      settings: of the evaluation, plain values by name.
      class_names: by class id.
      keeps: whether this process writes checkpoints.
    """

    def __init__(
        self, evaluate: Callable[[Callable[[], bool]], ConfusionMatrix], checkpoints: Checkpoints, settings: Mapping,
        class_names: Sequence[str], keeps: bool = True,
    ):  # fmt: skip
        self.evaluate, self.checkpoints, self.class_names, self.keeps = evaluate, checkpoints, tuple(class_names), keeps
        self.settings, self.best, self._first = json.dumps(settings, sort_keys=True), None, True

    def resume(self, model, optimizer, anew: bool = True) -> None:
        """Takes up the best score of before; evaluates that checkpoint anew where it was judged by other settings.

        Leaves the best checkpoint's state in model and optimizer then. Without `anew` the next evaluation counts as the best.
        """
        saved = self.checkpoints.read_best() if self.keeps else None
        if saved and saved.judged_by == self.settings:
            self.best = saved.score
        elif saved and not anew:
            _log.warning("%s was judged by other settings of the evaluation: the next one counts as the best", saved.path)
        elif saved:
            _log.info("%s was judged by other settings of the evaluation: it is judged anew", saved.path)
            saved.assign_to(model, optimizer)
            self._keep_if_best(saved.step, self.evaluate(lambda: False), model, optimizer)

    def __call__(self, step: int, model, optimizer, recorder: Recorder, stop: Callable[[], bool]) -> bool:
        """Evaluates, tells the recorder and keeps the state where it is the best; False where it was stopped before."""
        try:
            counts = self.evaluate(stop)
        except Stopped:
            return False
        recorder.evaluated(step, counts)
        self._warn_of_one_class(step, counts)
        self._keep_if_best(step, counts, model, optimizer)
        return True

    def _keep_if_best(self, step: int, counts: ConfusionMatrix, model, optimizer) -> None:
        score = counts.mean_iou()
        if self.keeps and (self.best is None or score >= self.best):
            self.best = score
            self.checkpoints.save_best(model, optimizer, step, score, self.settings)

    def _warn_of_one_class(self, step: int, counts: ConfusionMatrix) -> None:
        """Of the first evaluation only: a network that knows one class alone seldom learns the others later."""
        if self._first and (counts.predicted_frequency() > 0).sum() == 1 < (counts.class_frequency() > 0).sum():
            name = self.class_names[int(counts.predicted_frequency().argmax())]
            _log.warning("step %d: the evaluation predicts the class %s alone: if the next one does too, lower the learning "
                         "rate, give --weights or --class_weights=median_frequency", step, name)  # fmt: skip
        self._first = False
