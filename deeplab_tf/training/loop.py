"""The training loop: steps, log lines, progress, checkpoints, and a clean end on a signal."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator

import tqdm

from deeplab_tf.errors import UserError
from deeplab_tf.training.checkpoints import Checkpoints


def run_steps(
    step: Callable,
    batches: Iterable[dict],
    model,
    optimizer,
    checkpoints: Checkpoints,
    *,
    start: int,
    steps: int,
    log_file: pathlib.Path,
    save_every: int,
    log_every: int,
) -> dict:
    """Runs steps `start` to `steps`, saving and logging on the way and at the end.

    Args:
      step: `step(images, labels)`, see `deeplab_tf.training.step.make_step`.
      batches: dicts of "image", "label" and "id", the first one for step `start`.
      checkpoints: where the state goes every `save_every` steps, at the end and on SIGTERM or SIGINT.
      log_file: gets one JSON line every `log_every` steps; lines after `start` are taken out first.

    Returns:
      {"step", "loss" (mean since the last log line), "interrupted"}.

    Raises:
      UserError: the loss is not finite; the last checkpoint from before is kept.
    """
    _forget_after(log_file, start)
    losses, since, done, summary = [], time.monotonic(), start, {"step": start, "loss": None, "interrupted": False}
    with (
        _interruptions() as interrupted,
        open(log_file, "a", encoding="utf-8") as log,
        tqdm.tqdm(total=steps, initial=start, unit="step", dynamic_ncols=True, smoothing=0.05) as bar,
    ):
        for batch in batches:
            rate = float(optimizer.learning_rate)
            results = step(batch["image"], batch["label"])
            losses.append(float(results["loss"]))
            done += 1
            bar.update()
            _refuse_not_finite(losses[-1], done, batch, checkpoints)
            if done % log_every == 0 or done == steps:
                seconds = time.monotonic() - since
                summary["step"], summary["loss"] = done, sum(losses) / len(losses)
                line = {
                    "step": done, "loss": summary["loss"], "losses": results["losses"].numpy().tolist(),
                    "decay_loss": float(results["decay_loss"]), "learning_rate": rate,
                    "images_per_second": len(losses) * len(batch["image"]) / seconds,
                }  # fmt: skip
                _write_line(log, line)
                bar.set_postfix(loss=f"{line['loss']:.3f}", rate=f"{rate:.2e}", img_s=f"{line['images_per_second']:.2f}")
                losses, since = [], time.monotonic()
            ends = done >= steps or bool(interrupted)
            if done % save_every == 0 or ends:
                checkpoints.save(model, optimizer, done)
            if ends:
                break
    return summary | {"step": done, "interrupted": done < steps}


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


def _refuse_not_finite(loss: float, step: int, batch: dict, checkpoints: Checkpoints) -> None:
    if not math.isfinite(loss):
        files = ", ".join(name.decode() for name in batch["id"].numpy())
        kept = checkpoints.paths()
        raise UserError(
            f"step {step}: the loss is {loss}, expected a finite number (pictures {files}); lower the learning rate or check "
            f"these files; {f'the last checkpoint is {kept[0]}' if kept else 'there is no checkpoint yet'}."
        )


def _write_line(log, line: dict) -> None:
    log.write(json.dumps(line) + "\n")
    log.flush()


def _forget_after(log_file: pathlib.Path, start: int) -> None:
    """Drops log lines of steps that the checkpoint does not hold: they are run again."""
    if not log_file.exists():
        return
    kept = []
    for line in log_file.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # the line that was being written when the run died
            if json.loads(line)["step"] <= start:
                kept.append(line)
    partial = log_file.with_name(f".{log_file.name}.partial")
    partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    os.replace(partial, log_file)
