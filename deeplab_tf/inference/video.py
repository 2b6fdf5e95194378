"""A video to an overlay video of the same length and rate, and a table of class areas by frame. Needs PyAV (extra `video`)."""

from __future__ import annotations

import csv
import fractions
import io
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import tqdm

from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.errors import UserError
from deeplab_tf.extras import needed
from deeplab_tf.inference.label_files import LabelFiles, shares
from deeplab_tf.pages.pictures import overlay
from deeplab_tf.whole_files import make_folder, replacing


def paths(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """What `label_video` writes."""
    return [folder / f"{name}_overlay.mp4", folder / f"{name}_shares.csv"]


def label_video(
    segment: Callable[[np.ndarray], np.ndarray],
    path: pathlib.Path,
    folder: pathlib.Path,
    name: str,
    files: LabelFiles,
    *,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray],
    crf_workers: int = 2,
) -> tuple[int, int, dict[str, float]]:
    """Writes NAME_overlay.mp4 and NAME_shares.csv (a line a frame: number, seconds, share of every class), both or neither.

    Frames pass one by one; each keeps its time stamp, so that the overlay runs as the video did.

    Returns:
      height, width and the mean share of every class over the frames.

    Raises:
      UserError: PyAV is not installed, or the file holds no video that it decodes to the end.
    """
    av = needed("av", "video", "a video")
    video_file, table_file = paths(folder, name)
    make_folder(video_file.parent)
    table, total, count = io.StringIO(), dict.fromkeys(files.class_names, 0.0), 0
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["frame", "seconds", *files.class_names])
    try:
        with av.open(str(path)) as source, replacing(video_file) as partial:
            stream = source.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate or fractions.Fraction(25)
            with av.open(str(partial), "w", format="mp4") as target:
                out = _stream_like(target, stream, rate)
                for frame, image, labels in _labelled(source, stream, segment, crf, crf_workers):
                    found = shares(labels, files.class_names)
                    total = {one: total[one] + found[one] for one in total}
                    seconds = float(count / rate) if frame.time is None else frame.time
                    rows.writerow([count, f"{seconds:.3f}", *(f"{value:.6f}" for value in found.values())])
                    _write_frame(av, target, out, overlay(image, files.class_values[labels], files.colors), frame)
                    count += 1
                target.mux(out.encode())
            if not count:
                raise UserError(f"{path}: holds no frame; replace it.")
            with replacing(table_file) as partial_table:
                partial_table.write_text(table.getvalue(), encoding="utf-8")
    except (av.FFmpegError, IndexError) as error:
        raise UserError(f"{path}: cannot be read as a video ({' '.join(str(error).split())}); convert it to MP4.") from error
    return *image.shape[:2], {one: value / count for one, value in total.items()}


def _stream_like(target, stream, rate):
    """A stream of the same size, rate and time base; sides may be odd, which 4:2:0 does not allow."""
    out = target.add_stream("libx264", rate=rate, options={"crf": "18"})
    out.width, out.height = stream.codec_context.width, stream.codec_context.height
    out.pix_fmt = "yuv444p" if out.width % 2 or out.height % 2 else "yuv420p"
    out.time_base = out.codec_context.time_base = stream.time_base
    return out


def _labelled(source, stream, segment, crf, crf_workers) -> Iterator[tuple[object, np.ndarray, np.ndarray]]:
    """(frame, picture, labels) of every frame, in order; the CRF of one frame runs beside the network of the next."""

    def frames():
        decoded = source.decode(stream)
        for frame in tqdm.tqdm(decoded, total=stream.frames or None, unit="frame", leave=False, dynamic_ncols=True):
            image = frame.to_ndarray(format="rgb24")
            yield (frame, image), image, segment(image)

    for (frame, image), probabilities in refine_stream(crf, frames(), crf_workers, ahead=crf_workers):
        yield frame, image, probabilities.argmax(axis=-1)


def _write_frame(av, target, out, picture: np.ndarray, frame) -> None:
    encoded = av.VideoFrame.from_ndarray(picture, format="rgb24")
    encoded.pts, encoded.time_base = frame.pts, frame.time_base
    target.mux(out.encode(encoded))
