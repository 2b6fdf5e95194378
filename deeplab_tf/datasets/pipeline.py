"""tf.data pipelines: training batches that are a pure function of (seed, step), evaluation in file order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from deeplab_tf.datasets.augmentation import choose_window, cut, draw, finish
from deeplab_tf.datasets.masks import decode_label, require_labels
from deeplab_tf.datasets.pictures import decode_image, decode_part
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.datasets.wrong_files import refuse_other_size
from deeplab_tf.errors import UserError

_STEPS_AT_ONCE, _RECORDS_AT_ONCE = 4, 32  # what is fetched in one go
_SHUFFLE_KEY = 498247692  # TensorFlow's index_shuffle pads its keys with it
# Without AutoGraph: no branch of Python's depends on a tensor, and looking for one takes seconds of every start.
as_written = tf.autograph.experimental.do_not_convert


@dataclasses.dataclass(frozen=True)
class Source:
    """Numbered samples, wherever they lie.

    Attributes:
      count: how many.
      fetch: graph function of int64 [n] numbers to a tuple of tensors [n, ...]: many at once is cheaper.
      load: graph function of one row of what `fetch` gives to (the picture's file contents; its mask, uint8
        [height, width] train ids; its id; the name to call it in messages).
    """

    count: int
    fetch: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]
    load: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]]


def files(spec: DatasetSpec, samples: Sequence[Sample]) -> Source:
    """The samples of a list, read from their files.

    Raises:
      UserError: no samples, one without a mask, or a spec without classes.
    """
    require_labels(spec)
    _require_masks(spec, samples)
    columns = [tf.constant([getattr(sample, name) for sample in samples]) for name in ("image", "label", "id")]

    def load(image_path, label_path, sample_id):
        label = decode_label(tf.io.read_file(label_path), label_path, spec)
        return tf.io.read_file(image_path), label, sample_id, label_path

    return Source(len(samples), lambda numbers: tuple(tf.gather(column, numbers) for column in columns), load)


def batches_of(
    source: Source,
    *,
    crop_size: int,
    batch_size: int,
    iter_size: int = 1,
    scales: Sequence[float] = (1.0,),
    scale_range: tuple[float, float] | None = None,
    mirror: bool = True,
    seed: int = 0,
    start_step: int = 0,
    num_steps: int | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
    threads: int | None = None,
) -> tf.data.Dataset:
    """Augmented batches without end (or `num_steps` of them); element k is the batch of step start_step + k.

    The sample at position p = step * batch_size + place is number p mod n of epoch p // n, in an order that depends
    on (seed, epoch) only; its augmentation depends on (seed, p) only. So a run resumes at any step without replay.

    Args:
      source: what to train on.
      crop_size: side of the crops in pixels.
      batch_size: pictures a step over all workers.
      iter_size: micro-batches that they are, one after another; workers share each.
      scales, scale_range, mirror: see `augmentation.augment`.
      seed: of order and augmentation.
      start_step: step of the first element.
      num_steps: how many elements; None: without end.
      shard_index, shard_count: this worker's place; it gets pictures [shard_index * m, (shard_index + 1) * m) of every
        micro-batch, m = batch_size / iter_size / shard_count. Put together, they are what one worker sees.
      threads: reading threads; None: as many as there are processors.

    Returns:
      A data set of {"image": float32 [b, crop_size, crop_size, 3], RGB in 0..255, padded with the mean pixel;
      "label": uint8 [b, crop_size, crop_size], train ids, 255 void; "id": string [b]}, b = batch_size / shard_count.

    Raises:
      ValueError: a batch that does not divide by the number of workers, or an argument out of range. A wrong file shows
        later: iterate inside `wrong_files.user_errors`.
    """
    _check_arguments(batch_size, iter_size, shard_index, shard_count, crop_size, scales, scale_range, start_step)
    share = batch_size // shard_count
    own = functools.partial(_of_worker, micro_batch=batch_size // iter_size, worker=shard_index, workers=shard_count)
    parallel = threads or tf.data.AUTOTUNE

    def plan(steps):
        """Draws and rows of this worker's pictures of some steps, in order."""
        first = steps[0] * batch_size
        positions = own(first + tf.range(_STEPS_AT_ONCE * batch_size, dtype=tf.int64))
        draws = own(draw(seed, first, _STEPS_AT_ONCE * batch_size))
        count = tf.size(steps) * share
        return draws[:count], *source.fetch(shuffled(positions[:count], source.count, seed))

    def example(draws, *row):
        data, label, sample_id, name = source.load(*row)
        label = refuse_other_size(data, label, name)
        window = choose_window(tf.shape(label), draws, crop_size=crop_size, scales=scales, scale_range=scale_range)
        image = decode_part(data, window.begin, window.extent)
        image, label = finish(image, cut(label, window), window, draws, crop_size=crop_size, mirror=mirror)
        return {"image": image, "label": label, "id": sample_id}

    last = start_step + num_steps if num_steps is not None else tf.int64.max
    dataset = tf.data.Dataset.range(start_step, last).batch(_STEPS_AT_ONCE).map(as_written(plan), num_parallel_calls=parallel)
    dataset = dataset.unbatch().map(as_written(example), num_parallel_calls=parallel)
    return _with_options(dataset.batch(share, drop_remainder=True).prefetch(2), threads)


def shuffled(positions: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Numbers (0..count-1) of the records at int64 [n] `positions`: a new order every epoch, each record once an epoch."""
    epochs, places = positions // count, positions % count
    keys = tf.stack([tf.fill(tf.shape(epochs), tf.constant(part, tf.int64)) for part in (_SHUFFLE_KEY, seed)] + [epochs], 1)
    return tf.raw_ops.RandomIndexShuffle(index=places, seed=keys, max_index=tf.constant(count - 1, tf.int64), rounds=4)


def examples_of(source: Source, threads: int | None = None) -> tf.data.Dataset:
    """Whole pictures in the source's order. Iterate inside `wrong_files.user_errors`.

    Returns:
      A data set of known cardinality of {"image": uint8 [height, width, 3], RGB; "label": uint8 [height, width], train ids,
      255 void; "id": string}.
    """

    def example(*row):
        data, label, sample_id, name = source.load(*row)
        return {"image": decode_image(data), "label": refuse_other_size(data, label, name), "id": sample_id}

    dataset = _rows(source, threads).map(as_written(example), num_parallel_calls=threads or tf.data.AUTOTUNE)
    return _with_options(dataset.prefetch(2), threads)


def labels_of(source: Source, threads: int | None = None) -> tf.data.Dataset:
    """The masks alone, uint8 [height, width], in the source's order."""
    masks = as_written(lambda *row: source.load(*row)[1])
    dataset = _rows(source, threads).map(masks, num_parallel_calls=threads or tf.data.AUTOTUNE)
    return _with_options(dataset.prefetch(2), threads)


def _rows(source: Source, threads: int | None) -> tf.data.Dataset:
    """What `source.fetch` gives, row by row in order."""
    numbers = tf.data.Dataset.range(source.count).batch(_RECORDS_AT_ONCE)
    rows = numbers.map(as_written(source.fetch), num_parallel_calls=threads or tf.data.AUTOTUNE).unbatch()
    return rows.apply(tf.data.experimental.assert_cardinality(source.count))  # unbatched, they would not know how many


def _of_worker(rows: tf.Tensor, *, micro_batch: int, worker: int, workers: int) -> tf.Tensor:
    """Rows of one worker out of those of whole micro-batches."""
    share = micro_batch // workers
    rows = tf.reshape(rows, [-1, micro_batch, *rows.shape[1:]])
    return tf.reshape(rows[:, worker * share : (worker + 1) * share], [-1, *rows.shape[2:]])


def _require_masks(spec: DatasetSpec, samples: Sequence[Sample]) -> None:
    if not samples:
        raise UserError(f"No pictures of {spec.name}: the list is empty, expected at least one.")
    for sample in samples:
        if sample.label is None:
            raise UserError(f"{sample.image}: {sample.id!r} has no mask; choose a split that has masks.")


def _check_arguments(batch_size, iter_size, shard_index, shard_count, crop_size, scales, scale_range, start_step) -> None:
    if min(batch_size, iter_size, shard_count) < 1 or batch_size % (iter_size * shard_count):
        raise ValueError(
            f"batch_size: got {batch_size} for {iter_size} micro-batches on {shard_count} workers, expected a positive "
            "multiple of their product."
        )
    if not 0 <= shard_index < shard_count:
        raise ValueError(f"shard_index: got {shard_index}, expected 0..{shard_count - 1}.")
    if crop_size < 1 or start_step < 0:
        raise ValueError(f"crop_size, start_step: got {crop_size}, {start_step}, expected at least 1 and 0.")
    low_high = tuple(scale_range) if scale_range is not None else tuple(scales)
    if not low_high or min(low_high) <= 0 or (scale_range is not None and (len(low_high) != 2 or low_high[0] > low_high[1])):
        raise ValueError(
            f"scales, scale_range: got {scales}, {scale_range}, expected positive numbers, a range as (low, high)."
        )


def _with_options(dataset: tf.data.Dataset, threads: int | None) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    if threads:
        options.threading.private_threadpool_size = threads
    return dataset.with_options(options)
