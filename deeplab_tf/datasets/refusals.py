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

# How files begin that stand under the name of a picture.
_KINDS = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("WebP", rb"RIFF....WEBP"),
    ("GIF", rb"GIF8"),
    ("BMP", rb"BM"),
    ("TIFF", rb"II\*\0|MM\0\*"),
    ("AVIF", rb"....ftypavi"),
    ("HEIC", rb"....ftyp"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "),
    ("PDF", rb"%PDF"),
    ("a web page", rb"\s*<"),
)


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
    if found is None:
        return None
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?:\\x[0-9a-f]{2})+", _characters, found[1]))


def _characters(escaped: re.Match) -> str:
    """ä from \\xc3\\xa4: outside a graph the sentence is printed as Python prints bytes."""
    return bytes.fromhex(escaped[0].replace("\\x", "")).decode(errors="replace")


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
        raise UserError(_sentence(path, expected, error)) from None


def _sentence(path: str | os.PathLike, expected: str, error: tf.errors.OpError) -> str:
    """What is wrong with the file: TensorFlow only knows that it failed, so the file is looked at."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        return f"{path}: no such file, expected {expected}."
    except OSError as refused:
        return f"{path}: cannot be read ({refused.strerror}), expected {expected}; replace the file."
    kind = next((name for name, pattern in _KINDS if re.match(pattern, start, re.DOTALL)), None)
    if kind not in ("JPEG", "PNG", None):
        return f"{path}: holds {kind}, expected {expected}; convert it."
    refusal = find_refusal(error)
    if refusal:
        return refusal
    reason = f"a damaged or incomplete {kind}" if kind else "neither JPEG nor PNG" if start else "empty file"
    if not isinstance(error, tf.errors.InvalidArgumentError):
        reason = type(error).__name__
    return f"{path}: cannot be read ({reason}), expected {expected}; replace the file."
