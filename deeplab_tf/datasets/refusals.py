"""A wrong file is told of in one sentence that names it: how that sentence leaves a TensorFlow graph.

A graph can only fail with what an assertion prints, wrapped in notices of TensorFlow's. So `refuse_if` prints the sentence
between << and >>, `find_refusal` finds it there, and `naming` does so around the reading of one file; around a pipeline
`wrong_files.user_errors` does.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator

import tensorflow as tf

from deeplab_tf.errors import UserError


def refuse_if(condition: tf.Tensor, path: tf.Tensor, message: Callable[[], tf.Tensor]) -> tf.Operation:
    """Fails with "PATH: MESSAGE." where `condition` holds, in a form that `find_refusal` finds.

    Args:
      condition: scalar bool.
      path: scalar string, what to call the file.
      message: function without arguments that returns the scalar string; only built where it is needed.
    """

    def fail():
        sentence = tf.strings.join(["<<", path, ": ", message(), ".>>"])
        with tf.control_dependencies([tf.debugging.Assert(False, [sentence])]):
            return tf.constant(0)

    return tf.cond(condition, fail, lambda: tf.constant(0))


def find_refusal(error: tf.errors.OpError) -> str | None:
    """The sentence of `refuse_if` inside a TensorFlow error, or None."""
    found = re.search(r"<<(.*?)>>", error.message or "", re.DOTALL)
    return found and re.sub(r"\\(.)", r"\1", found.group(1))


@contextlib.contextmanager
def naming(path: str | os.PathLike, expected: str) -> Iterator[None]:
    """Turns what TensorFlow says about one file into a UserError that names it.

    Args:
      path: the file that is read inside.
      expected: what it should be, for the message: "a PNG mask".

    Raises:
      UserError: in place of any error of TensorFlow's.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if isinstance(error, tf.errors.NotFoundError):
            raise UserError(f"{path}: no such file, expected {expected}.") from None
        refusal = find_refusal(error)
        reason = (
            "empty file" if os.path.isfile(path) and os.path.getsize(path) == 0 else _short(error.message)
        )
        raise UserError(
            refusal or f"{path}: cannot be read ({reason}), expected {expected}; replace the file."
        ) from None


def _short(message: str) -> str:
    message = re.sub(r"\{\{.*?\}\}|\[Op:.*|\s+", " ", message).strip()
    return message.removesuffix(" name:").rstrip(" .")
