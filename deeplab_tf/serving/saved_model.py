"""`export_saved_model`: a SavedModel with everything inside, compared with `segment` before it appears."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from deeplab_tf.errors import UserError
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.saved_model import ABOUT_FILE
from deeplab_tf.inference.segment import segment
from deeplab_tf.serving.signatures import SegmentationModule
from deeplab_tf.whole_files import check_writable, make_folder, unwritable

_SIZES = ((37, 52), (64, 41))  # compared at export: off the padded grid, portrait and landscape


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    class_names: Sequence[str] | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> dict[str, float]:
    """Writes a SavedModel that takes pictures of any size and needs nothing but TensorFlow.

    Mean subtraction, padding, up-sampling, softmax and argmax are inside and follow the rule of `segment`. Signatures:

    * "serving_default": `images` uint8 RGB [batch, height, width, 3] -> `labels` uint8 (int32 above 256 classes)
      [batch, height, width], `probabilities` float32 [batch, height, width, K];
    * "encoded": `encoded_images` JPEG or PNG files [batch], of any sizes -> `label_png` [batch], grey PNG files of class ids;
    * "logits": `images` -> `logits` float32 [batch, rows, columns, K] of the padded pictures, neither flipped nor up-sampled.

    What was written is loaded again and compared with `segment` before it is moved to `path`.

    Args:
      model: a network of the zoo or a MultiScale.
      path: folder of the SavedModel; its parent is made if need be.
      scales, flip: as `segment` takes them.
      class_names, palette, metadata: kept in assets.extra/deeplab_tf.json; metadata must be JSON-able.
      overwrite: replace a SavedModel at `path`.

    Returns:
      The largest differences found: "probabilities", "logits" (absolute) and "labels" (share of the pixels).

    Raises:
      UserError: `path` is there and `overwrite` is not given, or holds something else than a SavedModel; its folder cannot
        be written, or the disk is full.
      ValueError: the number of names or colours is not the number of classes.
      RuntimeError: the written model does not answer as `segment` does; nothing is left behind.
    """
    path = pathlib.Path(path)
    check_target(path, overwrite)
    predictor = Predictor(model, scales, flip)
    about = _metadata(predictor, class_names, palette, metadata)
    make_folder(path.parent)
    with _writing(path):
        temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        module = SegmentationModule(predictor)
        with _writing(path):
            tf.saved_model.save(module, str(temporary), signatures=module.signatures())
            (temporary / ABOUT_FILE).parent.mkdir(exist_ok=True)
            (temporary / ABOUT_FILE).write_text(about)
        differences = compare(temporary, model, scales, flip)
        with _writing(path):
            temporary.chmod(0o755)
            _move(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return differences


def compare(
    path: str | os.PathLike, model: keras.Model, scales: tuple[float, ...] = (1.0,), flip: bool = False
) -> dict[str, float]:
    """Runs the SavedModel at `path` and `segment` on the same random pictures; returns the largest differences.

    Raises:
      RuntimeError: they differ by more than rounding (1e-4; 2e-2 where the network computes in 16 bits).
    """
    loaded = tf.saved_model.load(str(path))
    predictor = Predictor(model, scales, flip)
    worst = {"probabilities": 0.0, "logits": 0.0, "labels": 0.0}
    for size in _SIZES:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
        for name, value in _differences(loaded, predictor, model, scales, flip, image).items():
            worst[name] = max(worst[name], value)
    allowed = 2e-2 if _is_half(predictor.network) else 1e-4
    if not (worst["probabilities"] <= allowed and worst["logits"] <= allowed and worst["labels"] <= allowed):
        found = ", ".join(f"{name} {value:.2g}" for name, value in worst.items())
        raise RuntimeError(f"The exported model differs from segment by {found} (allowed: {allowed}); it was not kept.")
    return worst


def _differences(loaded, predictor, model, scales, flip, image) -> dict[str, float]:
    probabilities = segment(model, image, scales, flip)
    logits = predictor.logits(tf.constant(image[None])).numpy()[0]
    served = loaded.signatures["serving_default"](images=tf.constant(image[None]))
    own = loaded.signatures["logits"](images=tf.constant(image[None]))["logits"].numpy()[0]
    png = loaded.signatures["encoded"](encoded_images=tf.constant([_png(image)]))["label_png"].numpy()[0]
    maps = [served["labels"].numpy()[0], np.array(Image.open(io.BytesIO(png)))]
    return {
        "probabilities": float(np.abs(served["probabilities"].numpy()[0] - probabilities).max()),
        # Relative to their range: random weights can give logits of any size.
        "logits": float(np.abs(own - logits).max() / max(1.0, np.abs(logits).max())),
        "labels": max(float(np.mean(_lost(ids, probabilities))) for ids in maps),
    }


def _lost(ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Where a label is not the most probable one by more than rounding."""
    chosen = np.take_along_axis(probabilities, ids[..., None].astype(np.int64), axis=-1)[..., 0]
    return probabilities.max(axis=-1) - chosen > 1e-3


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def _is_half(network: keras.Model) -> bool:
    policies = {layer.dtype_policy.compute_dtype for layer in network.layers}
    return bool(policies & {"bfloat16", "float16"})


def _metadata(predictor: Predictor, class_names, palette, metadata) -> str:
    for name, values in (("class_names", class_names), ("palette", palette)):
        if values is not None and len(values) != predictor.num_classes:
            raise ValueError(f"{name} has {len(values)} entries, expected {predictor.num_classes}, one a class")
    about = {
        "model": predictor.network.name,
        "num_classes": predictor.num_classes,
        "class_names": None if class_names is None else list(class_names),
        "palette": None if palette is None else [[int(level) for level in color] for color in palette],
        "scales": list(predictor.scales),
        "flip": predictor.flip,
        "output_stride": _logit_stride(predictor),
        "padding": f"bottom and right, mean pixel, to {predictor.multiple}n+1",
    }
    return json.dumps(about | {"metadata": dict(metadata or {})}, indent=1) + "\n"


def _logit_stride(predictor: Predictor) -> float:
    """Picture pixels per row of the logits: several scales are fused at the size of scale 1, a single one keeps its own."""
    stride = float(predictor.output_stride)
    if len(predictor.scales) == 1:
        stride /= predictor.scales[0]
    return int(stride) if stride == int(stride) else stride


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


def check_target(path: str | os.PathLike, overwrite: bool) -> None:
    """Refuses a path that `export_saved_model` would not write to.

    Raises:
      UserError: as `export_saved_model` says.
    """
    path = pathlib.Path(path)
    check_writable(path.parent)
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise UserError(f"{path} is a file, expected a folder to write the SavedModel to: give another path.")
    if not any(path.iterdir()):
        return
    if not (path / "saved_model.pb").exists():
        raise UserError(f"{path} holds something else than a SavedModel and is left alone: give another path.")
    if not overwrite:
        raise UserError(f"{path} is there already: give another path, or --overwrite to replace it.")


def _move(temporary: pathlib.Path, path: pathlib.Path) -> None:
    """Puts the finished folder in its place; the old one goes only once the new one stands."""
    if not path.exists():
        os.replace(temporary, path)
        return
    old = path.with_name(f".{path.name}.replaced.{os.getpid()}")
    os.replace(path, old)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old)
