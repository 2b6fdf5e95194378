"""What is wrong with the files of samples: raised by name while a pipeline is iterated."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import image_size, read_image
from deeplab_tf.datasets.refusals import find_refusal, refuse_if
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError


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
        message = find_refusal(error)
        if message is None and spec is not None and is_of_a_file(error):
            message = first_unreadable(spec, samples, hint=error.message)
        if message is None and isinstance(error, tf.errors.NotFoundError):
            message = error.message.rpartition("}} ")[2].partition("\n")[0]
        if message is None:
            raise
        raise UserError(message) from None


def is_of_a_file(error: tf.errors.OpError) -> bool:
    """Whether TensorFlow stumbled over the contents of a picture or mask."""
    text = f"{error.message} {error.op}".lower()
    return "decode" in text or "jpeg" in text


def first_unreadable(spec: DatasetSpec, samples: Iterable[Sample], hint: str = "") -> str | None:
    """What is wrong with the first sample that cannot be read, or None.

    Args:
      hint: the message TensorFlow gave; files whose size stands in it are tried first.
    """

    def size_is_named(sample):
        sizes = (str(os.path.getsize(path)) for path in (sample.image, sample.label) if path and os.path.isfile(path))
        return any(size in hint for size in sizes)

    for sample in sorted(samples, key=lambda sample: not size_is_named(sample)):
        try:
            read_image(sample.image)
            if sample.label:
                read_label(sample.label, spec)
        except UserError as error:
            return str(error)
    return None


def refuse_other_size(data: tf.Tensor, label: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    """`label`, after the check that the picture in the file contents `data` has its size."""
    label_size = tf.shape(label)
    picture_size = image_size(data, otherwise=label_size)

    def message():
        sizes = [tf.strings.reduce_join(tf.strings.as_string(size[::-1]), separator="x") for size in (label_size, picture_size)]
        return tf.strings.join(["the mask has ", sizes[0], " pixels, expected ", sizes[1], " as its picture has"])

    with tf.control_dependencies([refuse_if(tf.reduce_any(picture_size != label_size), name, message)]):
        return tf.identity(label)
