"""tf.data pipelines: training batches that are a pure function of (seed, step), evaluation in file order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from deeplab_tf.datasets import readers
from deeplab_tf.datasets.augmentation import augment, draw
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError


def training_batches(
    spec: DatasetSpec,
    samples: Sequence[Sample],
    *,
    crop_size: int,
    batch_size: int,
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
      spec: the data set.
      samples: what to train on, all with masks.
      crop_size: side of the crops in pixels.
      batch_size: pictures a step over all workers.
      scales, scale_range, mirror: see `augmentation.augment`.
      seed: of order and augmentation.
      start_step: step of the first element.
      num_steps: how many elements; None: without end.
      shard_index, shard_count: this worker's place; it gets pictures [shard_index * b, (shard_index + 1) * b) of every
        batch, b = batch_size / shard_count. Put together, the workers' batches are what one worker sees.
      threads: reading threads; None: as many as there are processors.

    Returns:
      A data set of {"image": float32 [b, crop_size, crop_size, 3], RGB in 0..255, padded with the mean pixel;
      "label": uint8 [b, crop_size, crop_size], train ids, 255 void; "id": string [b]}.

    Raises:
      UserError: no samples, or one without a mask. A file that turns out wrong later: iterate inside `user_errors`.
      ValueError: a batch that does not divide by the number of workers, or an argument out of range.
    """
    _require_masks(spec, samples)
    columns = _columns(samples)

    def read(number):
        return _read_pair(spec, *(tf.gather(column, number) for column in columns))

    return batches_of(
        read, len(samples), crop_size=crop_size, batch_size=batch_size, scales=scales, scale_range=scale_range,
        mirror=mirror, seed=seed, start_step=start_step, num_steps=num_steps, shard_index=shard_index,
        shard_count=shard_count, threads=threads,
    )  # fmt: skip


def batches_of(
    read: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    count: int,
    *,
    crop_size: int,
    batch_size: int,
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
    """`training_batches` over any `count` records that `read(number)` gives as (image, label, id)."""
    _check_arguments(batch_size, shard_index, shard_count, crop_size, scales, scale_range, start_step)
    positions = _positions(batch_size, start_step, num_steps, shard_index, shard_count)

    def example(position):
        image, label, sample_id = read(shuffled(position, count, seed))
        image, label = augment(
            image, label, draw(seed, position),
            crop_size=crop_size, scales=scales, scale_range=scale_range, mirror=mirror,
        )  # fmt: skip
        return {"image": image, "label": label, "id": sample_id}

    dataset = positions.map(example, num_parallel_calls=threads or tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size // shard_count, drop_remainder=True).prefetch(2)
    return _with_options(dataset, threads)


def shuffled(position: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Number (0..count-1) of the record at `position`: a new order every epoch, each record once an epoch."""
    epoch, place = position // count, position % count
    key = tf.stack([tf.constant(seed, tf.int64), epoch])
    return tf.random.experimental.index_shuffle(place, seed=key, max_index=tf.constant(count - 1, tf.int64))


def evaluation_examples(
    spec: DatasetSpec, samples: Sequence[Sample], threads: int | None = None
) -> tf.data.Dataset:
    """Whole pictures in the order of `samples`.

    Returns:
      A data set of {"image": uint8 [height, width, 3], RGB; "label": uint8 [height, width], train ids, 255 void;
      "id": string}.

    Raises:
      UserError: no samples, or one without a mask. Iterate inside `user_errors`.
    """
    _require_masks(spec, samples)

    def example(image_path, label_path, sample_id):
        image, label, sample_id = _read_pair(spec, image_path, label_path, sample_id)
        return {"image": image, "label": label, "id": sample_id}

    dataset = tf.data.Dataset.from_tensor_slices(_columns(samples))
    dataset = dataset.map(example, num_parallel_calls=threads or tf.data.AUTOTUNE).prefetch(2)
    return _with_options(dataset, threads)


@contextlib.contextmanager
def user_errors(spec: DatasetSpec | None = None, samples: Sequence[Sample] = ()) -> Iterator[None]:
    """Iterate a pipeline inside it: a wrong file raises UserError with file and value.

    Args:
      spec, samples: what the pipeline reads; needed to name the file where a picture does not decode (TensorFlow
        does not say which it was, so the files are tried).
    """
    try:
        yield
    except tf.errors.OpError as error:
        message = readers.find_refusal(error)
        if message is None and spec is not None and "decode" in error.message.lower() + str(error.op).lower():
            message = readers.first_unreadable(spec, samples, hint=error.message)
        if message is None and isinstance(error, tf.errors.NotFoundError):
            message = error.message.rpartition("}} ")[2].partition("\n")[0]
        if message is None:
            raise
        raise UserError(message) from None


def _read_pair(spec: DatasetSpec, image_path, label_path, sample_id):
    image = readers.decode_image(tf.io.read_file(image_path))
    label = readers.decode_label(tf.io.read_file(label_path), label_path, spec)
    return refuse_other_size(image, label, label_path), label, sample_id


def refuse_other_size(image: tf.Tensor, label: tf.Tensor, label_path: tf.Tensor) -> tf.Tensor:
    """`image`, after the check that its mask has its size."""
    image_size, label_size = tf.shape(image)[:2], tf.shape(label)

    def message():
        sizes = [
            tf.strings.reduce_join(tf.strings.as_string(size[::-1]), separator="x")
            for size in (label_size, image_size)
        ]
        return tf.strings.join(
            ["the mask has ", sizes[0], " pixels, expected ", sizes[1], " as its picture has"]
        )

    with tf.control_dependencies(
        [readers.refuse_if(tf.reduce_any(image_size != label_size), label_path, message)]
    ):
        return tf.identity(image)


def _positions(batch_size, start_step, num_steps, shard_index, shard_count) -> tf.data.Dataset:
    """Positions of this worker's pictures, int64, step by step."""
    share = batch_size // shard_count
    last = (start_step + num_steps) * share if num_steps is not None else tf.int64.max
    first_place = shard_index * share
    numbers = tf.data.Dataset.range(start_step * share, last)
    return numbers.map(lambda number: number // share * batch_size + first_place + number % share)


def _columns(samples: Sequence[Sample]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    return (
        tf.constant([sample.image for sample in samples]),
        tf.constant([sample.label for sample in samples]),
        tf.constant([sample.id for sample in samples]),
    )


def _require_masks(spec: DatasetSpec, samples: Sequence[Sample]) -> None:
    if not samples:
        raise UserError(f"No pictures of {spec.name}: the list is empty, expected at least one.")
    for sample in samples:
        if sample.label is None:
            raise UserError(f"{sample.image}: {sample.id!r} has no mask; choose a split that has masks.")


def _check_arguments(
    batch_size, shard_index, shard_count, crop_size, scales, scale_range, start_step
) -> None:
    if batch_size < 1 or shard_count < 1 or batch_size % shard_count:
        raise ValueError(
            f"batch_size: got {batch_size} for {shard_count} workers, expected a positive multiple of them."
        )
    if not 0 <= shard_index < shard_count:
        raise ValueError(f"shard_index: got {shard_index}, expected 0..{shard_count - 1}.")
    if crop_size < 1 or start_step < 0:
        raise ValueError(f"crop_size, start_step: got {crop_size}, {start_step}, expected at least 1 and 0.")
    low_high = tuple(scale_range) if scale_range is not None else tuple(scales)
    if (
        not low_high
        or min(low_high) <= 0
        or (scale_range is not None and (len(low_high) != 2 or low_high[0] > low_high[1]))
    ):
        raise ValueError(
            f"scales, scale_range: got {scales}, {scale_range}, expected positive numbers, a range as (low, high)."
        )


def _with_options(dataset: tf.data.Dataset, threads: int | None) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    if threads:
        options.threading.private_threadpool_size = threads
    return dataset.with_options(options)
