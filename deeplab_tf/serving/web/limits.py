"""What the page takes in, and the sentences it refuses the rest with. They name the file as the visitor does, never a path."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
from PIL import Image

from deeplab_tf.errors import UserError
from deeplab_tf.extras import needed
from deeplab_tf.inference.picture_files import is_video, read_upright

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


@dataclasses.dataclass(frozen=True)
class Limits:
    """Attributes:
    megabytes: of a file, 10^6 bytes.
    megapixels: of a picture or a video's frame, 10^6 pixels.
    frames: of a video.
    queue: requests that wait at once; the next is refused.
    memory: GiB of probabilities that are kept for sliders, of all visitors together.
    """

    megabytes: float = 20
    megapixels: float = 4
    frames: int = 300
    queue: int = 16
    memory: float = 1


def read_picture(path: str | os.PathLike, limits: Limits) -> np.ndarray:
    """uint8 [height, width, 3] RGB of an uploaded file, upright; what is too large is refused before it is decoded.

    Raises:
      UserError: too large, a video, a format that is not taken, or damaged.
    """
    path = pathlib.Path(path)
    if is_video(path):
        raise UserError(f"{path.name}: is a video, expected a picture; drop it under “A short video”.")
    _check_bytes(path, limits)
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
    except FileNotFoundError as error:
        raise UserError(f"{path.name}: is not kept any more; drop it again.") from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path.name}: far too many pixels, expected at most {limits.megapixels:g} million; make it smaller."
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(
            f"{path.name}: cannot be read as a picture, expected a JPEG, PNG, WebP, BMP, TIFF or GIF; convert it "
            "or send it anew."
        ) from error
    check_pixels(path.name, width, height, limits)
    try:
        return read_upright(path)
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from error


def check_video(path: str | os.PathLike, limits: Limits) -> None:
    """Refuses what is no video of the page's size, by its header.

    Raises:
      UserError: it is too large or long, no video, or PyAV is not installed.
    """
    path = pathlib.Path(path)
    _check_bytes(path, limits)
    av = needed("av", "video", "a video")
    try:
        with av.open(str(path)) as source:
            stream = source.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            frames = stream.frames or int(float((source.duration or 0) / av.time_base) * float(stream.average_rate or 25))
    except (av.FFmpegError, IndexError, OSError) as error:
        raise UserError(f"{path.name}: cannot be read as a video; convert it to MP4.") from error
    check_pixels(path.name, width, height, limits)
    if not 0 < frames <= limits.frames:
        raise UserError(
            f"{path.name}: got {frames:,} frames, expected 1 to {limits.frames:,}; cut it, or label it with "
            "python -m deeplab_tf.predict."
        )


def check_pixels(name: str, width: int, height: int, limits: Limits) -> None:
    if width * height > limits.megapixels * 1e6:
        raise UserError(
            f"{name}: got {width}x{height} pixels, expected at most {limits.megapixels:g} million; reduce it, "
            "or label it with python -m deeplab_tf.predict."
        )


def _check_bytes(path: pathlib.Path, limits: Limits) -> None:
    if path.is_file() and path.stat().st_size > limits.megabytes * 1e6:
        raise UserError(
            f"{path.name}: got {path.stat().st_size / 1e6:.1f} MB, expected at most {limits.megabytes:g}; make it smaller."
        )
