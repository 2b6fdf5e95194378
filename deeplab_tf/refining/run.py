"""Refines a folder of masks or maps: several windows at once, picture after picture."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tqdm

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.errors import UserError
from deeplab_tf.refining.background import parse_backgrounds
from deeplab_tf.refining.given import GivenMaps, GivenMask, refine_window
from deeplab_tf.refining.jobs import Job
from deeplab_tf.refining.label_png import LabelPng
from deeplab_tf.refining.maps import read_maps
from deeplab_tf.refining.rasters import Mask, Picture
from deeplab_tf.refining.report import Outcome
from deeplab_tf.refining.settings import Settings
from deeplab_tf.refining.tally import Tally
from deeplab_tf.refining.windows import Window, windows
from deeplab_tf.whole_files import replacing

_WRONG = (ValueError, OSError, SyntaxError, MemoryError)  # what a file may cause; UserError is a ValueError


class _Opened(NamedTuple):
    """The files of one picture."""

    given: GivenMask | GivenMaps
    picture: Picture
    truth: Mask | None


class _Step(NamedTuple):
    """A window on its way, with what was given and is true where it is written; or what ended its picture."""

    job: Job
    opened: _Opened | None = None
    window: Window | None = None
    given: np.ndarray | None = None


class _Failed(Exception):
    """One picture cannot be refined; the reason is its cause."""


def refine_folder(jobs: list[Job], settings: Settings, threads: int | None = None) -> Outcome:
    """Writes the result of every job, whole or not at all; a picture that fails does not keep the others from theirs.

    Results that are there are kept, so that a run that was stopped goes on. Their bits do not depend on `threads`, the
    number of windows in work (None: of processors), which with `settings.side` bounds the memory.

    Raises:
        UserError: the results' folder or disk refuses.
    """
    for unfinished in {path for job in jobs[:1] for path in job.result.parent.glob(".*.png.*.partial")}:
        unfinished.unlink(missing_ok=True)  # left by a run that was killed while it wrote
    there = [job for job in jobs if job.result.exists()]
    threads = threads or DenseCRF(settings.params).threads
    crf, tally, failed = DenseCRF(settings.params, threads=1), Tally(settings.unsure), {}

    def refine(image, task):
        if isinstance(task, Exception):
            return task
        given, window = task
        try:
            return refine_window(crf, given, image, window)
        except _WRONG as error:
            return error

    known, turned = {job.name for job in there}, {}
    steps = _steps([job for job in jobs if job.name not in known], settings, turned)
    stream = refine_stream(refine, steps, threads, ahead=threads + 1)
    with tqdm.tqdm(total=len(jobs), unit="picture", dynamic_ncols=True) as bar:
        for name, count in itertools.chain(_judge(there, settings), _write(stream, settings)):
            if isinstance(count, Exception):
                failed[name] = " ".join(str(count).split()) or "the memory does not suffice"
            elif count is not None:
                tally.add(count)
            bar.update()
    lost = len(failed.keys() - known)
    kept = [is_turned for name, is_turned in turned.items() if name not in failed]
    return Outcome(len(jobs) - len(there) - lost, len(there), failed, tally, kept.count(True), kept.count(False))


def _steps(jobs: Iterable[Job], settings: Settings, turned: dict[str, bool]) -> Iterator[tuple]:
    """(step, picture, what is given) of every window; of a picture that cannot be read its error, as what is given.

    `turned` receives the pictures with an orientation, and whether it is applied.
    """
    for job in jobs:
        try:
            opened = _open(job, settings)
            if opened.picture.is_oriented:
                turned[job.name] = opened.picture.is_turned
            for window in windows(*opened.given.size, settings.side, settings.halo):
                given = opened.given.window(*window.read)
                yield _Step(job, opened, window, given), opened.picture.window(*window.read), (opened.given, given)
        except _WRONG as error:
            yield _Step(job), None, error


def _open(job: Job, settings: Settings) -> _Opened:
    if job.picture is None:
        raise UserError(f"{job.given}: has no picture of its name in --images; put it there or take the file away.")
    picture = Picture(job.picture)
    try:
        return _beside(job, picture, settings)
    except UserError:
        stored = picture.as_stored()
        if stored.size != picture.size:  # they may have been drawn on the stored pixels
            with contextlib.suppress(UserError):
                return _beside(job, stored, settings)
        raise


def _beside(job: Job, picture: Picture, settings: Settings) -> _Opened:
    """The picture with what is given and true, which have its size."""
    given = _given(job, picture, settings)
    truth = Mask(job.truth) if job.truth else None
    for other, path in ((given, job.given), (truth, job.truth)):
        if other is not None and other.size != picture.size:
            raise UserError(
                f"{path}: got {other.size[1]} x {other.size[0]} pixels for the picture of "
                f"{picture.size[1]} x {picture.size[0]}, expected its size."
            )
    return _Opened(given, picture, truth)


def _given(job: Job, picture: Picture | None, settings: Settings) -> GivenMask | GivenMaps:
    if not settings.from_maps:
        return GivenMask(Mask(job.given), settings.certainty, settings.unsure)
    backgrounds = parse_backgrounds(settings.background)
    maps = read_maps(job.given, picture.size, without_background=bool(backgrounds))
    return GivenMaps(maps, backgrounds, settings.certainty, settings.unsure)


def _write(stream, settings: Settings) -> Iterator[tuple[str, Tally | Exception | None]]:
    """Writes the results as their windows come; the name of each picture with its counts, or why it failed."""
    for job, steps in itertools.groupby(stream, key=lambda pair: pair[0].job):
        try:
            yield job.name, _write_one(job, steps, settings)
        except _Failed as failure:
            yield job.name, failure.__cause__


def _write_one(job: Job, steps, settings: Settings) -> Tally | None:
    tally, truth, png = Tally(settings.unsure), None, None
    with replacing(job.result) as partial, open(partial, "wb") as file, contextlib.ExitStack() as stack:
        for step, labels in steps:
            if isinstance(labels, Exception):
                raise _Failed from labels
            given, _, truth = step.opened
            if png is None:
                mask = getattr(given, "mask", None)
                png = LabelPng(file, given.size, mask and mask.palette, mask and mask.clear)
                count = sum(1 for _ in windows(*given.size, settings.side, settings.halo))
                bar = stack.enter_context(tqdm.tqdm(total=count, unit="window", leave=False, disable=count == 1))
            found = labels[step.window.inner]
            png.put(*step.window.write, found)
            if truth is not None:
                tally.update(_read(truth, step.window), given.unrefined(step.given)[step.window.inner], found)
            bar.update()
        png.finish()
    return tally if truth is not None else None


def _read(mask: Mask, window: Window) -> np.ndarray:
    try:
        return mask.window(*window.write)
    except _WRONG as error:
        raise _Failed from error


def _judge(jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[str, Tally | Exception | None]]:
    """The counts of results that an earlier run wrote."""
    for job in jobs:
        try:
            yield job.name, _judge_one(job, settings) if job.truth else None
        except _WRONG as error:
            yield job.name, error


def _judge_one(job: Job, settings: Settings) -> Tally:
    (given, _, truth), done, tally = _open(job, settings), Mask(job.result), Tally(settings.unsure)
    for _, write in windows(*given.size, settings.side, settings.halo):
        tally.update(truth.window(*write), given.unrefined(given.window(*write)), done.window(*write))
    return tally


def check_unsure(jobs: Iterable[Job], settings: Settings) -> None:
    """Refuses masks of 0 and the unsure id alone, where nobody said that this id marks pixels without a label.

    Raises:
        UserError: all of `jobs` are such masks, which the CRF would make all 0.
    """
    for job in jobs:
        try:
            given = GivenMask(Mask(job.given), 0.5, settings.unsure)
        except _WRONG:
            return
        if given.ids.tolist() != [0] or not given.has_unsure:
            return
    raise UserError(
        f"{job.given}: holds 0 and {settings.unsure} alone, as the masks beside it; give --unsure=none if "
        f"{settings.unsure} is a class, --unsure={settings.unsure} if it marks pixels without a label."
    )
