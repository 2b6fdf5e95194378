"""Work in several processes, with progress."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
from collections.abc import Callable, Sequence

import tqdm

from deeplab_tf.errors import UserError


def run(function: Callable, calls: Sequence[tuple], workers: int | None, *, unit: str, description: str = "") -> list:
    """The results of `function(*call)` for every call, in their order.

    Args:
      function: one of a module, as it is called in other processes.
      workers: processes; None: one a processor; 1: none beside this one.
      unit, description: for the progress bar.

    Raises:
      UserError: a process was killed; whatever a call raises, upon which the others are given up.
    """
    progress = {"total": len(calls), "unit": unit, "desc": description or None}
    if workers == 1:
        return [function(*call) for call in tqdm.tqdm(calls, **progress)]
    context = multiprocessing.get_context("spawn")  # forking a process that has threads can hang
    with concurrent.futures.ProcessPoolExecutor(min(workers or os.cpu_count(), len(calls)), mp_context=context) as pool:
        jobs = [pool.submit(function, *call) for call in calls]
        try:
            for job in tqdm.tqdm(concurrent.futures.as_completed(jobs), **progress):
                job.result()
        except concurrent.futures.process.BrokenProcessPool:
            raise UserError(
                "A worker process was ended from outside, most likely for want of memory; what is made is kept, so "
                "give the same command again with fewer --workers."
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [job.result() for job in jobs]
