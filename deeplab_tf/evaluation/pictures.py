"""Label maps of a user's pictures, written as files. What `python -m deeplab_tf.predict` calls."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tqdm
from PIL import Image

from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.datasets.pictures import read_image
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
    ids: Sequence[int] | None = None,
    flip: bool = False,
    tile: int | None = None,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    crf_workers: int = 2,
    overwrite: bool = False,
) -> list[pathlib.Path]:
    """Writes NAME.png (a palette PNG of ids) and NAME_overlay.jpg for every picture.

    The CRF of one picture runs beside the network of the next.

    Args:
      model: a network of the zoo or a MultiScale.
      pictures: files; two of the same name are an error, as their results would be.
      out_dir: made if it is not there.
      palette: RGB by class.
      ids: what the label maps hold for each class, 0 to 255; None: 0, 1, 2, …
      flip, tile: as `segment` takes them.
      crf: a DenseCRF, or None.
      crf_workers: threads that run it.
      overwrite: replace results that are there.

    Returns:
      The label maps' paths.

    Raises:
      UserError: a picture that does not decode, results that are there already, two pictures of one name, an id above 255.
    """
    out_dir = pathlib.Path(out_dir)
    ids = tuple(range(len(palette)) if ids is None else ids)
    if max(ids) > 255:
        raise UserError(f"label ids: got {max(ids)}, expected at most 255 in a palette PNG; write class ids instead.")
    targets = _targets(pictures, out_dir, overwrite)
    read_image(pictures[0])  # a wrong first file ends before anything is made
    _make_folder(out_dir)

    def stream():
        for picture, target in zip(pictures, targets, strict=True):
            image = read_image(picture)
            yield (image, target), image, segment(model, image, flip=flip, tile=tile)

    refined = refine_stream(crf or _as_they_are, stream(), crf_workers, ahead=crf_workers)
    for (image, target), probabilities in tqdm.tqdm(refined, total=len(pictures), unit="picture", dynamic_ncols=True):
        _write(image, probabilities.argmax(axis=-1), target, palette, ids)
    return targets


def _as_they_are(image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """In place of a CRF."""
    return probabilities


def _targets(pictures, out_dir, overwrite) -> list[pathlib.Path]:
    targets = [out_dir / f"{picture.stem}.png" for picture in pictures]
    for picture, target in zip(pictures, targets, strict=True):
        if targets.count(target) > 1:
            raise UserError(f"{picture}: another picture has the same name and would be written to {target}; run them apart.")
        if target.exists() and not overwrite:
            raise UserError(f"{target} is there already; give --overwrite or another --out.")
    return targets


def _make_folder(out_dir: pathlib.Path) -> None:
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out_dir}: cannot be made ({error.strerror}); choose another folder.") from error


def _write(image: np.ndarray, labels: np.ndarray, target: pathlib.Path, palette, ids) -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[list(ids)] = palette
    values = np.array(ids, np.uint8)[labels]
    label_map = Image.fromarray(values, "P")
    label_map.putpalette(colors.tobytes())
    _save(label_map, target, "PNG")
    blend = (image.astype(np.float32) + colors[values]) / 2
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
