"""The training loop: steps, evaluations, checkpoints, alarms, and a clean end on a signal."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
from collections.abc import Callable, Iterable, Iterator

from deeplab_tf.errors import UserError
from deeplab_tf.training.checkpoints import Checkpoints
from deeplab_tf.training.judge import Judge
from deeplab_tf.training.recorder import Recorder
from deeplab_tf.training.strategies import Devices


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long a run is and what happens how often, in steps; 0: never.

    Attributes:
      collapse_after: steps in a row with a single predicted class that end the run.
    """

    steps: int
    iter_size: int = 1
    log_every: int = 10
    save_every: int = 500
    eval_every: int = 0
    collapse_after: int = 0

    def is_due(self, every: int, step: int) -> bool:
        """Whether what happens `every` so many steps, and at the end, happens after this one."""
        return step > 0 and (step >= self.steps or (every > 0 and step % every == 0))


def run_steps(
    step: Callable,
    batches: Iterable[dict],
    model,
    optimizer,
    checkpoints: Checkpoints,
    recorder: Recorder,
    *,
    start: int,
    pace: Pace,
    devices: Devices,
    judge: Judge | None = None,
) -> dict:
    """Runs steps `start` to `pace.steps`, saving and logging on the way and at the end.

    Args:
      step: `step(images, labels)`, see `deeplab_tf.training.step.make_step`.
      batches: this worker's, dicts of "image", "label" and "id", the first one for step `start`.
      checkpoints: where the state goes every `pace.save_every` steps, at the end and on SIGTERM or SIGINT. The chief worker
        writes them.
      recorder: what is told of every step.
      judge: evaluates every `pace.eval_every` steps and at the end; first of all after step `start`, where the log lacks it
        because a signal came in the middle. A signal ends an evaluation after the picture under way.

    Returns:
      {"step", "loss" (mean since the last log line), "interrupted"}.

    Raises:
      UserError: the loss is not finite, or the predictions have collapsed; the last checkpoint from before is kept.
    """
    done, alarm, judged, chief = start, _Alarm(pace.collapse_after, checkpoints), True, devices.worker == 0
    with _interruptions() as interrupted:

        def evaluate() -> bool:
            due = judge is not None and pace.is_due(pace.eval_every, done)
            return not due or judge(done, model, optimizer, recorder, lambda: bool(interrupted))

        if devices.any_worker(chief and not recorder.has_evaluated(done)):
            judged = evaluate()
        ends = devices.any_worker(bool(interrupted)) or done >= pace.steps
        for batch in recorder.waiting_for(() if ends else batches):
            rate = float(optimizer.learning_rate)
            results = step(*(devices.scatter(batch[name], pace.iter_size) for name in ("image", "label")))
            done += 1
            recorder.count(results, rate, len(batch["image"]) * devices.workers)
            alarm.check(done, results, batch["id"])
            if pace.is_due(pace.log_every, done):
                recorder.write(done)
            judged = evaluate()
            ends = devices.any_worker(bool(interrupted)) or done >= pace.steps
            if (ends or pace.is_due(pace.save_every, done)) and chief:
                checkpoints.save(model, optimizer, done, recorder.losses)
                recorder.show(done, model, batch)
            if ends:
                break
    return {"step": done, "loss": recorder.last_loss, "interrupted": done < pace.steps or not judged}


@contextlib.contextmanager
def _interruptions() -> Iterator[list[int]]:
    """A list that fills when SIGTERM or SIGINT comes, so that the step under way ends; a second signal acts at once."""
    received: list[int] = []
    previous = {}

    def note(number, frame):
        received.append(number)
        signal.signal(number, previous[number])

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):  # not in the main thread: leave signals to whoever runs us
            previous[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Alarm:
    """Ends a run that cannot come to anything any more."""

    def __init__(self, collapse_after: int, checkpoints: Checkpoints):
        self.collapse_after, self.checkpoints, self.single = collapse_after, checkpoints, 0

    def check(self, step: int, results: dict, ids) -> None:
        """Looks at what a step gave.

        Raises:
          UserError: its loss is not finite, or it is one too many in a row whose predictions were of a single class while
            the labels were of several.
        """
        loss = float(results["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"step {step}: the loss is {loss}, expected a finite number (pictures {_names(ids)}); lower the learning "
                f"rate or check these files; {self._kept()}."
            )
        predicted, labelled = results["predicted"].numpy(), results["labelled"].numpy()
        if (labelled > 0).sum() > 1:
            self.single = self.single + 1 if (predicted > 0).sum() == 1 else 0
        if self.collapse_after and self.single >= self.collapse_after:
            raise UserError(
                f"step {step}: the predictions have collapsed to class {int(predicted.argmax())} for {self.single} steps "
                f"(pictures {_names(ids)}), expected several classes as in the labels; lower the learning rate, give "
                f"--weights or --class_weights=median_frequency, or --collapse_after=0 to go on; {self._kept()}."
            )

    def _kept(self) -> str:
        kept = self.checkpoints.paths()
        return f"the last checkpoint is {kept[0]}" if kept else "there is no checkpoint yet"


def _names(ids) -> str:
    return ", ".join(name.decode() for name in ids.numpy())
