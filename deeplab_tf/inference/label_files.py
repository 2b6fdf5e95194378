"""Label maps of a user's pictures, written as files. What `python -m deeplab_tf.predict` calls."""

from __future__ import annotations

import collections
import io
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tqdm
from PIL import Image
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import IMAGE_SUFFIXES, is_picture_name
from deeplab_tf.errors import UserError
from deeplab_tf.inference.segment import segment, segment_labels
from deeplab_tf.whole_files import make_folder, replacing


def find_pictures(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """The pictures that `paths` name: files, and folders for the pictures right in them.

    Raises:
      UserError: a path does not exist, a folder holds no picture, or nothing was named.
    """
    pictures = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if is_picture_name(entry.name))
            if not inside:
                raise UserError(f"{path}: holds no picture, expected {', '.join(IMAGE_SUFFIXES)} files; name another folder.")
            pictures += inside
        elif path.is_file():
            pictures.append(path)
        else:
            raise UserError(f"{path}: no such picture or folder; correct the path.")
    if not pictures:
        raise UserError("No pictures were named, expected files or folders behind the flags.")
    return pictures


def predict_pictures(
    model: keras.Model,
    pictures: Sequence[pathlib.Path],
    out_dir: str | os.PathLike,
    *,
    palette: Sequence[tuple[int, int, int]],
    ids: Sequence[int] | None = None,
    flip: bool = False,
    tile: int | None = None,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    crf_workers: int = 2,
    memory_limit: float | None = None,
    overwrite: bool = False,
) -> list[pathlib.Path]:
    """Writes NAME.png (a palette PNG of ids) and NAME_overlay.jpg for every picture, both or neither.

    The CRF of one picture runs beside the network of the next.

    Args:
      model: a network of the zoo or a MultiScale.
      pictures: files; two of the same name are an error, as their results would be, and none is ever replaced by a result.
      out_dir: made if it is not there.
      palette: RGB by class.
      ids: what the label maps hold for each class, 0 to 255; None: 0, 1, 2, …
      flip, tile: as `segment` takes them.
      crf: a DenseCRF, or None.
      crf_workers: threads that run it.
      memory_limit: as `segment` takes it.
      overwrite: replace results that are there.

    Returns:
      The label maps' paths.

    Raises:
      UserError: a picture that does not decode, results that are there already or would replace a picture, two pictures
        of one name, an id above 255, a folder or disk that refuses.
    """
    out_dir = pathlib.Path(out_dir)
    ids = tuple(range(len(palette)) if ids is None else ids)
    if max(ids) > 255:
        raise UserError(f"label ids: got {max(ids)}, expected at most 255 in a palette PNG; write class ids instead.")
    targets = _targets(pictures, out_dir, overwrite)
    read_image(pictures[0])  # a wrong first file ends before anything is made
    make_folder(out_dir)

    def stream(segmented):
        for picture, target in zip(pictures, targets, strict=True):
            image = read_image(picture)
            yield (image, target), image, segmented(model, image, flip=flip, tile=tile, memory_limit=memory_limit)

    if crf is None:  # of a large picture there are never all probabilities
        labelled = ((place, labels) for place, _, labels in stream(segment_labels))
    else:
        refined = refine_stream(crf, stream(segment), crf_workers, ahead=crf_workers)
        labelled = ((place, probabilities.argmax(axis=-1)) for place, probabilities in refined)
    with logging_redirect_tqdm(), tqdm.tqdm(labelled, total=len(pictures), unit="picture", dynamic_ncols=True) as bar:
        for (image, target), labels in bar:
            _write(image, labels, target, palette, ids)
    return targets


def _targets(pictures, out_dir, overwrite) -> list[pathlib.Path]:
    targets = [out_dir / f"{picture.stem}.png" for picture in pictures]
    sources, named = {picture.resolve() for picture in pictures}, collections.Counter(targets)
    for picture, target in zip(pictures, targets, strict=True):
        if named[target] > 1:
            raise UserError(f"{picture}: another picture has the same name and would be written to {target}; run them apart.")
        for result in (target, _overlay(target)):
            if result.resolve() in sources:
                raise UserError(f"{result}: one of the pictures would be replaced by a result; choose another --out.")
    for target in targets:
        for result in (target, _overlay(target)):
            if result.exists() and not overwrite:
                raise UserError(f"{result} is there already; give --overwrite or another --out.")
    return targets


def _overlay(target: pathlib.Path) -> pathlib.Path:
    return target.with_name(f"{target.stem}_overlay.jpg")


def _write(image: np.ndarray, labels: np.ndarray, target: pathlib.Path, palette, ids) -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[list(ids)] = palette
    values = np.array(ids, np.uint8)[labels]
    label_map = Image.fromarray(values, "P")
    label_map.putpalette(colors.tobytes())
    blend = (image.astype(np.uint16) + colors[values]) // 2
    png = _encoded(label_map, "PNG")
    jpeg = _encoded(Image.fromarray(blend.astype(np.uint8)), "JPEG", quality=90)
    with replacing(target) as label_file, replacing(_overlay(target)) as overlay_file:
        label_file.write_bytes(png)
        overlay_file.write_bytes(jpeg)


def _encoded(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
