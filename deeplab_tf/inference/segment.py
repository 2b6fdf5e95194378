"""`segment`: one picture in, class probabilities at its own size out."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from deeplab_tf.inference.memory import choose_tiles
from deeplab_tf.inference.predictor import Predictor, predictor_for
from deeplab_tf.inference.tiles import Tiles, average_bands, average_tiles


def segment(
    model: keras.Model,
    image: np.ndarray,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    tile: int | tuple[int, int] | Tiles | None = None,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    memory_limit: float | None = None,
    fusion: str = "max_logits",
) -> np.ndarray:
    """Class probabilities of a picture of any size.

    The picture is padded at the bottom and on the right with the mean pixel to 8n+1 (with several scales 32n+1; in
    general the output stride times n plus one), the logits are up-sampled with aligned corners and cut back.

    Args:
      model: a network of the zoo or a MultiScale (run with its own scales where `scales` is (1.0,)).
      image: uint8 [height, width, 3] RGB.
      scales: picture scales.
      flip: average the probabilities of the picture and of its mirror image.
      tile: side or (height, width) of overlapping tiles for pictures larger than that, or a `Tiles`, which
        also holds the overlap (else a quarter of the tile). Probabilities are averaged, weighted
        by a ramp that falls over the overlap towards a tile's borders. None: the whole picture, or where
        that would exceed the memory limit the tiles that `memory.choose_tiles` finds.
      crf: a DenseCRF, applied to the picture and the probabilities last.
      memory_limit: GiB that the process may take; None: half of the machine's memory.
      fusion: of several scales: "max_logits", the maximum of their logits (MSC, section 3.2), or "mean_probabilities".

    Returns:
      float32 [height, width, K], which sum to 1 over K.

    Raises:
      ValueError: an image that is not uint8 RGB, scales or tiles that make no sense.
      UserError: the picture does not fit the memory limit even in tiles.
    """
    image = check_image(image)
    predictor = predictor_for(model, scales, flip, fusion)
    tiles = _tiles_of(tile, predictor, image, memory_limit, labels_only=False)
    if tiles is None:
        probabilities = predictor.one(image)
    else:
        probabilities = average_tiles(predictor.one, image, tiles, predictor.multiple)
    return probabilities if crf is None else crf(image, probabilities)


def segment_batch(model: keras.Model, images: np.ndarray, *, memory_limit: float | None = None, tile=None, **how) -> np.ndarray:
    """`segment` of pictures of one size, uint8 [batch, height, width, 3] -> float32 [batch, height, width, K]; at once where
    the memory limit allows it without tiles, else one by one. The other arguments are those of `segment`."""
    images = np.asarray(images)
    predictor = predictor_for(model, **how)
    together = (len(images) * images.shape[1], images.shape[2])
    if tile is None and len(images) > 1 and not predictor.footprint.needs_tiles(together, memory_limit):
        return predictor.run(images).numpy()
    return np.stack([segment(model, image, tile=tile, memory_limit=memory_limit, **how) for image in images])


def segment_labels(
    model: keras.Model,
    image: np.ndarray,
    scales: tuple[float, ...] = (1.0,),
    flip: bool = False,
    tile: int | tuple[int, int] | Tiles | None = None,
    memory_limit: float | None = None,
    fusion: str = "max_logits",
) -> np.ndarray:
    """The likeliest class of every pixel, uint8 [height, width]: `segment(...).argmax(-1)`, in tiles without ever keeping
    the probabilities of the whole picture. The arguments are those of `segment`."""
    image = check_image(image)
    predictor = predictor_for(model, scales, flip, fusion)
    tiles = _tiles_of(tile, predictor, image, memory_limit, labels_only=True)
    kind = np.uint8 if predictor.num_classes <= 256 else np.uint16
    if tiles is None:
        return predictor.one(image).argmax(axis=-1).astype(kind)
    labels = np.empty(image.shape[:2], kind)
    for rows, probabilities in average_bands(predictor.one, image, tiles, predictor.multiple):
        labels[rows] = probabilities.argmax(axis=-1)
    return labels


def _tiles_of(tile, predictor: Predictor, image: np.ndarray, memory_limit: float | None, labels_only: bool) -> Tiles | None:
    """The tiles that were asked for, else those that the memory asks for; None for the whole picture."""
    if tile is None:
        return choose_tiles(
            predictor.footprint, image.shape[:2], multiple=predictor.multiple, limit=memory_limit, labels_only=labels_only
        )
    tiles = Tiles.of(tile)
    return tiles if image.shape[0] > tiles.size[0] or image.shape[1] > tiles.size[1] else None


def check_image(image: np.ndarray) -> np.ndarray:
    """The image as a NumPy array; a ValueError that says the way out where it is not uint8 [height, width, 3] RGB."""
    image = np.asarray(image)
    got = f"image is {image.dtype} {list(image.shape)}, expected uint8 [height, width, 3] RGB"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        raise ValueError(f"{got}; a grey picture: repeat it, np.stack([image.squeeze()] * 3, axis=-1)")
    if image.ndim == 3 and image.shape[2] == 4:
        raise ValueError(f"{got}; a picture with alpha: composite it, or drop alpha with image[..., :3]")
    if image.ndim == 4:
        raise ValueError(f"{got}; a batch: call segment picture by picture")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"{got}.")
    if image.dtype != np.uint8:
        raise ValueError(f"{got}; levels run from 0 to 255, so scale and convert with .astype(np.uint8)")
    return image
