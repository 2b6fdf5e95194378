"""What a run tells: its log file train.jsonl, the progress bar, and the TensorBoard events."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.training.board import Board
from deeplab_tf.whole_files import replacing, unwritable


class Recorder:
    """Collects the results of steps and writes them out; use it as a context.

    Args:
      log_file: gets one JSON line for every call of `write` and of `evaluated`; None: say nothing at all, as the workers do
        that are not the chief.
      class_names: by class id.
      start, steps: the step the run starts after, and its last one; lines after `start` are taken out of the log first.
      losses: of the steps up to `start` that no line tells of yet.
      board: gets the same and more, where there is one.

    Attributes:
      losses: of the steps since the last line.
      last_loss: mean data loss between the last two calls of `write`.
    """

    def __init__(
        self,
        log_file: pathlib.Path | None,
        class_names: Sequence[str],
        *,
        start: int,
        steps: int,
        losses: Sequence[float] = (),
        board: Board | None = None,
    ):
        self.log_file, self.class_names, self.board = log_file, tuple(class_names), board
        self.last_loss, self._evaluated = None, set()
        self.losses, self._images, self._rate, self._waited = list(losses), 0, 0.0, 0.0
        if log_file is not None:
            self._evaluated = {line["step"] for line in _forget_after(log_file, start) if "mean_iou" in line}
        self._bar = tqdm.tqdm(
            total=steps, initial=start, unit="step", dynamic_ncols=True, smoothing=0.05, disable=log_file is None
        )
        self._since = time.monotonic()

    def __enter__(self):
        self._context = contextlib.ExitStack()
        self._context.enter_context(logging_redirect_tqdm())  # log lines go above the bar
        return self

    def __exit__(self, *exception):
        self._bar.close()
        self._context.close()
        if self.board:
            self.board.close()

    def waiting_for(self, batches: Iterable) -> Iterator:
        """The batches, while the time that they let the steps wait is taken."""
        iterator = iter(batches)
        while True:
            asked = time.monotonic()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.monotonic() - asked
            yield batch

    def count(self, results: dict, learning_rate: float, images: int) -> None:
        """One step has been done: what it gave, its rate, and its pictures over all workers."""
        self.losses.append(float(results["loss"]))
        self._latest, self._rate = results, learning_rate
        self._images += images
        self._bar.update()

    def write(self, step: int) -> None:
        """A log line over the steps since the last one; its input_wait is the share of the time that steps waited for data,
        predicted and labelled are the classes' shares of the valid positions of the last step."""
        seconds = time.monotonic() - self._since
        self.last_loss = sum(self.losses) / len(self.losses)
        line = {
            "step": step, "loss": self.last_loss, "losses": self._latest["losses"].numpy().tolist(),
            "decay_loss": float(self._latest["decay_loss"]), "learning_rate": self._rate,
            "images_per_second": self._images / seconds, "input_wait": self._waited / seconds,
            **{name: self._shares(self._latest[name].numpy()) for name in ("predicted", "labelled")},
        }  # fmt: skip
        self._write_line(line)
        self._bar.set_postfix(loss=f"{line['loss']:.3f}", rate=f"{self._rate:.2e}", img_s=f"{line['images_per_second']:.2f}")
        if self.board:
            self.board.scalars(step, line)
        self.losses, self._images, self._waited, self._since = [], 0, 0.0, time.monotonic()

    def _shares(self, counts) -> dict[str, float]:
        """Of the classes that occur, by name."""
        total = max(int(counts.sum()), 1)
        return {name: int(count) / total for name, count in zip(self.class_names, counts, strict=True) if count}

    def has_evaluated(self, step: int) -> bool:
        """Whether the log tells of an evaluation after that step."""
        return step in self._evaluated

    def evaluated(self, step: int, counts: ConfusionMatrix) -> None:
        """A log line about an evaluation."""
        iou = [None if value != value else float(value) for value in counts.iou()]
        line = {
            "step": step, "mean_iou": counts.mean_iou(), "pixel_accuracy": counts.pixel_accuracy(),
            "per_class_iou": dict(zip(self.class_names, iou, strict=True)),
        }  # fmt: skip
        self._write_line(line)
        self._evaluated.add(step)
        if self.log_file is not None:
            self._bar.write(f"step {step}: mean IoU {100 * line['mean_iou']:.2f} %", file=sys.stderr)
        if self.board:
            self.board.evaluation(step, line, counts.matrix)

    def show(self, step: int, model, batch: dict) -> None:
        """Puts weights and pictures of `batch` with their predictions on the board."""
        if self.board:
            self.board.weights(step, model)
            self.board.pictures(step, model, batch)

    def _write_line(self, line: dict) -> None:
        if self.log_file is None:
            return
        try:
            with open(self.log_file, "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        except OSError as error:
            raise unwritable(self.log_file, error) from error


def _forget_after(log_file: pathlib.Path, start: int) -> list[dict]:
    """Drops log lines of steps that the checkpoint does not hold: they are run again. Returns the others."""
    if not log_file.exists():
        return []
    kept = []
    for text in log_file.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # the line that was being written when the run died
            line = json.loads(text)
            if line["step"] <= start:
                kept.append(line)
    with replacing(log_file) as partial:
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return kept
