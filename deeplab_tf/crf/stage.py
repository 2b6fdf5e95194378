"""The CRF as a stage of evaluation and prediction, beside the network."""

import collections
import concurrent.futures
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF

Refined = tuple[Any, np.ndarray]


def refine_stream(
    crf: DenseCRF, stream: Iterable[tuple[Any, np.ndarray, np.ndarray]], workers: int = 2, ahead: int = 4
) -> Iterator[Refined]:
    """Run the CRF over a stream while the stream's next picture is being computed.

    The caller's thread draws from `stream` (there the network runs); `workers` threads run the CRF, which does not
    hold Python's lock. A CRF made with threads=1 wastes least when several pictures are in work.

    Args:
        crf: the CRF.
        stream: (id, uint8 image [height, width, 3], float probs [height, width, classes]).
        workers: pictures refined at the same time, >= 1.
        ahead: pictures drawn from the stream and not yet handed on, >= workers; bounds the memory.

    Yields:
        (id, float32 [height, width, classes]) in the order of the stream. An exception of the stream or of the CRF
        is raised here; pictures in front of it have been handed on.
    """
    if workers < 1 or ahead < workers:
        raise ValueError(f"workers, ahead: got {workers}, {ahead}, expected 1 <= workers <= ahead.")
    pending: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="crf") as pool:
        try:
            for identity, image, probs in _then_raise(stream, pending):
                pending.append((identity, pool.submit(crf, image, probs)))
                while len(pending) > ahead or (pending and pending[0][1].done()):
                    yield _finished(pending)
            while pending:
                yield _finished(pending)
        finally:
            for _, future in pending:
                future.cancel()


def _finished(pending) -> Refined:
    identity, future = pending.popleft()
    return identity, future.result()


def _then_raise(stream, pending):
    """The stream; where it fails, its error takes its turn behind the pictures drawn so far."""
    try:
        yield from stream
    except Exception as error:
        failed: concurrent.futures.Future = concurrent.futures.Future()
        failed.set_exception(error)
        pending.append((None, failed))
