"""`export_saved_model`: a SavedModel with everything inside, and what is checked of its signatures."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.runtimes import ABOUT_FILE
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.serving import parity
from deeplab_tf.serving.exporting import export_model
from deeplab_tf.serving.signatures import SegmentationModule
from deeplab_tf.serving.tiled import TiledPredictor
from deeplab_tf.serving.warmup import write_warmup

_WARMUP_SIZE = (321, 321)
_SIZES = ((37, 52), (64, 41))  # off the padded grid, portrait and landscape


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    fusion: str = "max_logits",
    tile: int | tuple[int, int] | Tiles | None = None,
    class_names: Sequence[str] | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> dict[str, float]:
    """Writes a SavedModel that takes pictures of any size and needs nothing but TensorFlow.

    Mean subtraction, padding, up-sampling, softmax and argmax are inside and follow the rule of `segment`. Signatures:

    * "serving_default": `images` uint8 RGB [batch, height, width, 3] -> `labels` uint8 (int32 above 256 classes)
      [batch, height, width], `probabilities` float32 [batch, height, width, K];
    * "labels": `images` -> `labels` alone, which travel 4 K times as lightly;
    * "encoded": `encoded_images` JPEG or PNG files [batch], of any sizes -> `label_png_bytes` [batch], grey PNG files of class
      ids;
    * "logits": `images` -> `logits` float32 [batch, rows, columns, K] of the padded pictures, neither flipped nor up-sampled.

    What was written is loaded again and compared with `segment` before it is moved to `path`.

    Args:
      model: a network of the zoo or a MultiScale.
      path: folder of the SavedModel; its parent is made if need be. MODELS/NAME/1 is what TensorFlow Serving looks for.
      scales, flip, fusion, tile: as `segment` takes them; without a tile pictures are never cut.
      class_names, palette, metadata: kept in assets.extra/deeplab_tf.json; metadata must be JSON-able.
      overwrite: replace a SavedModel at `path`.

    Returns:
      The largest differences found: "probabilities", "logits" (absolute) and "labels" (share of the pixels).

    Raises:
      UserError, ValueError, RuntimeError: as `export_model`.
    """
    return export_model(
        model, path, format="saved_model", scales=scales, flip=flip, fusion=fusion, tile=tile,
        class_names=class_names, palette=palette, metadata=metadata, overwrite=overwrite,
    )  # fmt: skip


def write(
    predictor: Predictor | TiledPredictor, path: pathlib.Path, about: str, precision: str, calibration: Sequence[np.ndarray]
) -> None:
    """Writes all signatures, in the precision of the predictor's network; `about` and warm-up requests beside them."""
    module = SegmentationModule(predictor)
    tf.saved_model.save(module, str(path), signatures=module.signatures())
    (path / ABOUT_FILE).parent.mkdir(exist_ok=True)
    (path / ABOUT_FILE).write_text(about, encoding="utf-8")
    write_warmup(path, np.zeros((*_WARMUP_SIZE, 3), np.uint8))


def compare_signatures(
    served: Mapping[str, Callable],
    predictor: Predictor | TiledPredictor,
    reference: Callable[[np.ndarray], np.ndarray],
    allowed: parity.Allowed,
) -> dict[str, float]:
    """The largest differences of the signatures beside "serving_default" in `served`, on random pictures.

    Raises:
      RuntimeError: they differ by more than is allowed.
    """
    worst = {"logits": 0.0, "labels": 0.0}
    for size in _SIZES:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        for name, value in _differences(served, predictor, reference(image), image).items():
            worst[name] = max(worst[name], value)
    parity.refuse(worst, {"logits": allowed.probabilities, "labels": allowed.labels})
    return worst


def _differences(served, predictor, probabilities: np.ndarray, image: np.ndarray) -> dict[str, float]:
    images = tf.constant(image[None])
    logits, own = predictor.logits(images).numpy()[0], served["logits"](images=images)["logits"].numpy()[0]
    png = served["encoded"](encoded_images=tf.constant([_png(image)]))["label_png_bytes"].numpy()[0]
    maps = [served["labels"](images=images)["labels"].numpy()[0], np.array(Image.open(io.BytesIO(png)))]
    return {
        # Relative to their range: random weights can give logits of any size.
        "logits": float(np.abs(own - logits).max() / max(1.0, np.abs(logits).max())),
        "labels": max(float(np.mean(parity.lost(ids, probabilities))) for ids in maps),
    }


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()
