"""`export_model`: a network as an artefact of any format, compared with `segment` before it appears."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf.errors import UserError
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import open_artefact
from deeplab_tf.inference.segment import segment
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.serving import parity
from deeplab_tf.serving.about import about
from deeplab_tf.serving.folded_network import folded_network
from deeplab_tf.serving.formats import Format, check_format
from deeplab_tf.serving.plain_network import plain_network
from deeplab_tf.serving.tiled import TiledPredictor
from deeplab_tf.whole_files import check_writable, make_folder, unwritable

_CALIBRATED_ON = 4  # of the pictures that int8 was calibrated with, so many are compared


def export_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    format: str,
    precision: str | None = None,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    fusion: str = "max_logits",
    tile: int | tuple[int, int] | Tiles | None = None,
    calibration: Sequence[np.ndarray] = (),
    class_names: Sequence[str] | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> dict[str, float]:
    """Writes a network that needs nothing of this package: pictures of any size in, label maps and probabilities out.

    Every format takes `images`, uint8 RGB [batch, height, width, 3], and answers `labels`, uint8 (int32 above 256 classes)
    [batch, height, width], and `probabilities`, float32 [batch, height, width, K]. Mean subtraction, padding, scales, mirror
    image, up-sampling and argmax are inside. What was written is loaded again by the program that runs it and compared with
    `segment` at five sizes before it is moved to `path`.

    Args:
      model: a network of the zoo or a MultiScale.
      path: a folder ("saved_model", "openvino") or a file NAME.onnx or NAME.tflite; its parent is made if need be.
      format: a name of `formats.FORMATS`.
      precision: one that the format has; None: the network's own for a SavedModel, else float32.
      scales, flip, fusion: as `segment` takes them.
      tile: as `segment` takes it; a SavedModel alone has the loop for it. None: pictures are never cut.
      calibration: for int8: some tens of uint8 pictures [height, width, 3] of the kind that it will see.
      class_names, palette, metadata: kept inside; metadata must be JSON-able.
      overwrite: replace an artefact of this format at `path`.

    Returns:
      The largest differences found: "probabilities" (absolute) and "labels" (share of the pixels); of a SavedModel "logits".

    Raises:
      UserError: as `check_format`; `path` is there and `overwrite` is not given, or holds something else; its folder cannot be
        written, or the disk is full.
      ValueError: the number of names or colours is not the number of classes; a SavedModel in another precision than the
        network's.
      RuntimeError: what was written does not answer as `segment` does; nothing is left behind.
    """
    path = pathlib.Path(path)
    row = check_format(format, precision, len(calibration) > 0, path)
    check_target(path, row, overwrite)
    predictor = Predictor(model, scales, flip, fusion)
    own = "bfloat16" if _is_half(predictor.network) else "float32"
    if format == "saved_model" and precision not in (None, own):
        raise ValueError(
            f"precision {precision}: a SavedModel computes as its network does, which is built in {own}; build it in the other"
        )
    precision = precision or (own if format == "saved_model" else row.precisions[0])
    tiles = None if tile is None else Tiles.of(tile)
    if tiles and format != "saved_model":
        raise UserError(f"--tile: the format {format} has no tiles inside, expected saved_model; leave --tile out.")
    text = about(
        predictor, tiles=tiles, format=format, precision=precision, class_names=class_names, palette=palette, metadata=metadata
    )
    twin = folded_network if format == "saved_model" else plain_network
    predictor = Predictor(twin(predictor.network), predictor.scales, flip, fusion)
    if tiles:
        predictor = TiledPredictor(predictor, tiles)
    writer = importlib.import_module(f"deeplab_tf.serving.{format}")
    make_folder(path.parent)
    with _writing(path):
        temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        written = temporary / path.name
        with _writing(path):
            writer.write(predictor, written, text, precision, calibration)
        reference = functools.partial(segment, model, scales=scales, flip=flip, fusion=fusion, tile=tiles)
        pictures = calibration[:_CALIBRATED_ON] if precision == "int8" else parity.noise(tiles and tiles.size)
        allowed = parity.SAME_GRAPH if format == "saved_model" else parity.ALLOWED
        allowed = allowed[own if precision == "float32" else precision]  # `segment` itself may round
        _, run = open_artefact(written)
        differences = parity.compare(lambda image: run(image[None])[0], reference, allowed, pictures)
        if format == "saved_model":
            differences |= writer.compare_signatures(run.signatures, predictor, reference, allowed)
        with _writing(path):
            _move(written, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return differences


def _is_half(network: keras.Model) -> bool:
    policies = {layer.dtype_policy.compute_dtype for layer in network.layers}
    return bool(policies & {"bfloat16", "float16"})


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[None]:
    """The disk's refusal as the one sentence, whether Python or TensorFlow met it."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error
    except tf.errors.OpError as error:
        reason = error.message.split("; ")[-1].split(" [Op:")[0]  # "{{…}} FILE; No space left on device [Op:SaveV2]"
        raise unwritable(path, OSError(" ".join(reason.split()))) from error


def check_target(path: str | os.PathLike, row: Format, overwrite: bool) -> None:
    """Refuses a path that `export_model` would not write this format to.

    Raises:
      UserError: as `export_model` says.
    """
    path = pathlib.Path(path)
    check_writable(path.parent)
    if not path.exists() and not path.is_symlink():
        return
    if row.suffix and path.is_dir():
        raise UserError(f"{path} is a folder, expected a file to write: give another path.")
    if not row.suffix and not path.is_dir():
        raise UserError(f"{path} is a file, expected a folder to write to: give another path.")
    if not row.suffix and not any(path.iterdir()):
        return
    if not row.suffix and not (path / row.marker).exists():
        raise UserError(f"{path} holds something else than {row.marker} and is left alone: give another path.")
    if not overwrite:
        raise UserError(f"{path} is there already: give another path, or --overwrite to replace it.")


def _move(written: pathlib.Path, path: pathlib.Path) -> None:
    """Puts what is finished in its place; an old folder goes only once the new one stands."""
    if not path.exists() or not path.is_dir():
        os.replace(written, path)
        return
    old = path.with_name(f".{path.name}.replaced.{os.getpid()}")
    os.replace(path, old)
    try:
        os.replace(written, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old)
