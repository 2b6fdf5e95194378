"""Label maps of a user's pictures, written as files. What `python -m deeplab_tf.predict` calls."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tqdm
from PIL import Image

from deeplab_tf.datasets.readers import read_image
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.inference import segment

SUFFIXES = (".jpg", ".jpeg", ".png")


def find_pictures(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """The pictures that `paths` name: files, and folders for the pictures right in them.

    Raises:
      UserError: a path does not exist, a folder holds no picture, or nothing was named.
    """
    pictures = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f"{path}: holds no picture, expected {', '.join(SUFFIXES)} files; name another folder.")
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
    flip: bool = False,
    tile: int | None = None,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    crf_workers: int = 2,
    overwrite: bool = False,
) -> list[pathlib.Path]:
    """Writes NAME.png (a palette PNG of class ids) and NAME_overlay.jpg for every picture.

    The CRF of one picture runs beside the network of the next.

    Args:
      model: a network of the zoo or a MultiScale.
      pictures: files; two of the same name are an error, as their results would be.
      out_dir: made if it is not there.
      palette: RGB by class id.
      flip, tile: as `segment` takes them.
      crf: a DenseCRF, or None.
      crf_workers: threads that run it.
      overwrite: replace results that are there.

    Returns:
      The label maps' paths.

    Raises:
      UserError: a picture that does not decode, results that are there already, two pictures of one name.
    """
    out_dir = pathlib.Path(out_dir)
    targets = _targets(pictures, out_dir, overwrite)
    images = {picture: read_image(picture) for picture in pictures[:1]}  # a wrong first file ends before anything is made

    def finish(image, probabilities, target):
        _write(image, (probabilities if crf is None else crf(image, probabilities)).argmax(-1), target, palette)

    with ThreadPoolExecutor(crf_workers) as pool, tqdm.tqdm(total=len(pictures), unit="picture", dynamic_ncols=True) as bar:
        waiting = []
        for picture, target in zip(pictures, targets, strict=True):
            image = images.pop(picture, None)
            image = read_image(picture) if image is None else image
            waiting.append(pool.submit(finish, image, segment(model, image, flip=flip, tile=tile), target))
            if len(waiting) > crf_workers:
                waiting.pop(0).result()
                bar.update()
        for future in waiting:
            future.result()
            bar.update()
    return targets


def _targets(pictures, out_dir, overwrite) -> list[pathlib.Path]:
    targets = [out_dir / f"{picture.stem}.png" for picture in pictures]
    for picture, target in zip(pictures, targets, strict=True):
        if targets.count(target) > 1:
            raise UserError(f"{picture}: another picture has the same name and would be written to {target}; run them apart.")
        if target.exists() and not overwrite:
            raise UserError(f"{target} is there already; give --overwrite or another --out.")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out_dir}: cannot be made ({error.strerror}); choose another folder.") from error
    return targets


def _write(image: np.ndarray, labels: np.ndarray, target: pathlib.Path, palette) -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(palette)] = palette
    ids = Image.fromarray(labels.astype(np.uint8), "P")
    ids.putpalette(colors.tobytes())
    _save(ids, target, "PNG")
    blend = (image.astype(np.float32) + colors[labels]) / 2
    _save(Image.fromarray(blend.astype(np.uint8)), target.with_name(f"{target.stem}_overlay.jpg"), "JPEG", quality=90)


def _save(picture: Image.Image, path: pathlib.Path, kind: str, **options) -> None:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(stream.getvalue())
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); free the disk or choose another folder.") from error
