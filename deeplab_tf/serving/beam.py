"""Label files of any number of pictures by Apache Beam (extra `beam`): on this machine, or wherever Beam has a runner.

URIs of pictures -> those that are not done -> read -> segment -> CRF -> label files, a table of areas, a table of refusals.
A result's name follows from the picture's alone, and a file appears whole, so that work done twice or again is the same work.
The label map, which is written last, carries the checksum of its picture: one that has changed since is done anew.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import os
import pathlib
import posixpath
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler, RunInference
from PIL import Image

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.errors import UserError
from deeplab_tf.inference.label_files import LabelFiles, Prediction, checksum_in, shares
from deeplab_tf.inference.picture_files import checksum, read_upright
from deeplab_tf.serving.beam_pictures import Picture
from deeplab_tf.serving.segmenter import Segmenter

SHARES, FAILED = "shares.csv", "failed.csv"
_READABLE = {"labels": "_labels.png", "palette": ".png"}  # outputs that the areas of an earlier run are read from


class SegmenterHandler(ModelHandler):
    """A network for Beam's `RunInference`: `Picture` in, (`Picture`, float32 [height, width, K]) out.

    It is loaded once a process, and pictures of one size go through it together.

    Args:
      load: makes the network, in the process that runs it; must pickle, as `functools.partial(load_segmenter, config)` does.
      batch_size: pictures in hand at once, at most.
      threads: of TensorFlow for one operation, where several workers share a machine; None: all processors.
    """

    def __init__(self, load: Callable[[], Segmenter], *, batch_size: int = 8, threads: int | None = None):
        super().__init__(min_batch_size=1, max_batch_size=batch_size)
        self._load, self._threads = load, threads

    def load_model(self) -> Segmenter:
        if self._threads:
            import tensorflow as tf

            with contextlib.suppress(RuntimeError):  # TensorFlow is in use already, as in the launcher's own process
                tf.config.threading.set_intra_op_parallelism_threads(self._threads)
                tf.config.threading.set_inter_op_parallelism_threads(1)
        return self._load()

    def run_inference(self, batch: Sequence[Picture], model: Segmenter, inference_args=None) -> Iterator:
        by_size: dict[tuple, list[Picture]] = {}
        for picture in batch:
            by_size.setdefault(picture.image.shape, []).append(picture)
        for pictures in by_size.values():
            if model.segment_batch and len(pictures) > 1:
                found = model.segment_batch(np.stack([picture.image for picture in pictures]))
            else:
                found = (model.segment(picture.image) for picture in pictures)
            yield from zip(pictures, found, strict=True)

    def get_metrics_namespace(self) -> str:
        return "deeplab_tf"


class LabelPictures(beam.PTransform):
    """`Picture`s without images -> their files in a folder, shares.csv, and failed.csv with the reasons.

    What is there of the same contents is not done again. A picture that cannot be read, segmented or refined is a row of
    failed.csv; a folder that cannot be written ends the pipeline.

    Args:
      handler: the network.
      out: folder of the results, a path or URI of any file system that Beam knows.
      files: which ones; its `write` must hold "labels" or "palette".
      crf: behind the network; best with threads=1.

    Raises:
      UserError: outputs that areas cannot be read from again.
    """

    def __init__(self, handler: SegmenterHandler, out: str, files: LabelFiles, crf: DenseCRF | None = None):
        super().__init__()
        if not set(_READABLE) & set(files.write):
            raise UserError(
                f"--write: got {', '.join(files.write)}, expected labels or palette among them, from which the "
                "areas are read when the pipeline is run again."
            )
        self._handler, self._out, self._files, self._crf = handler, out, files, crf

    def expand(self, pictures):
        grouped = pictures | "by name" >> beam.Map(lambda picture: (picture.name, picture.uri)) | beam.GroupByKey()
        sorted_out = grouped | "what is done" >> beam.FlatMap(_sort_out, self._out, self._files).with_outputs(
            "done", "twice", main="waiting"
        )
        read, unread = sorted_out.waiting | "read" >> beam.Map(_read).with_exception_handling()
        found, unsegmented = read | "segment" >> RunInference(self._handler).with_exception_handling()
        refined, unrefined = found | "refine" >> beam.Map(_refine, self._crf).with_exception_handling()
        written = refined | "write" >> beam.Map(_write, self._out, self._files)
        before = sorted_out.done | "read areas" >> beam.Map(_areas_again, self._out, self._files)
        names = self._files.class_names
        _table((written, before), "areas", self._out, SHARES, ["picture", "height", "width", *names])
        failed = (
            sorted_out.twice,
            unread | "unread" >> beam.Map(lambda bad: _failure(bad[0], bad[1])),
            unsegmented.failed_inferences | "unsegmented" >> beam.FlatMap(_failures),
            unrefined | "unrefined" >> beam.Map(lambda bad: _failure(bad[0][0], bad[1])),
        )
        return _table(failed, "refusals", self._out, FAILED, ["picture", "reason"])


def _sort_out(group: tuple[str, Iterable[str]], out: str, files: LabelFiles) -> Iterator:
    """A picture that waits, or is done, and the others that would have results of the same name."""
    name, uris = group[0], sorted(set(group[1]))  # named twice is meant once
    for uri in uris[1:]:
        reason = f"another picture has the same name and both results would be called {name}; run them apart"
        yield beam.pvalue.TaggedOutput("twice", [uri, reason])
    picture = Picture(uris[0], name)
    yield beam.pvalue.TaggedOutput("done", picture) if _is_done(picture, out, files) else picture


def _is_done(picture: Picture, out: str, files: LabelFiles) -> bool:
    """Whether its files are there and were made of its contents; where it cannot be read, reading it tells why."""
    if not all(FileSystems.exists(path) for path in _paths(out, picture.name, files)):
        return False
    with contextlib.suppress(OSError), _local(picture.uri) as path:  # a damaged label map is an OSError too
        made_of = checksum_in(_label_map(picture, out, files))
        return made_of is not None and made_of == checksum(path)
    return False


def _paths(out: str, name: str, files: LabelFiles) -> list[str]:
    return [posixpath.join(out, path.as_posix()) for path in files.paths(pathlib.Path(), name)]


def _read(picture: Picture) -> Picture:
    with _local(picture.uri) as path:
        try:
            return dataclasses.replace(picture, image=read_upright(path), checksum=checksum(path))
        except UserError as error:
            raise UserError(str(error).removeprefix(f"{path}: ")) from error


@contextlib.contextmanager
def _local(uri: str) -> Iterator[str]:
    """A file of this machine with the contents of `uri`."""
    if FileSystems.get_scheme(uri) is None:
        yield uri
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, posixpath.basename(uri))
        with FileSystems.open(uri) as source, open(path, "wb") as target:
            target.write(source.read())
        yield path


def _refine(found: tuple[Picture, np.ndarray], crf: DenseCRF | None) -> tuple[Picture, np.ndarray]:
    picture, probabilities = found
    return picture, probabilities if crf is None else crf(picture.image, probabilities)


def _write(found: tuple[Picture, np.ndarray], out: str, files: LabelFiles) -> list:
    """Writes the files of a picture and gives its row of areas."""
    picture, probabilities = found
    labels = probabilities.argmax(axis=-1)
    kept = probabilities if files.needs_probabilities else None
    about = posixpath.basename(picture.uri), picture.uri, picture.checksum
    contents = files.contents(Prediction(picture.image, labels, kept, *about))
    last = _label_map_path(picture, out, files)
    for path, content in sorted(zip(_paths(out, picture.name, files), contents, strict=True), key=lambda file: file[0] == last):
        write_whole(path, content)
    return _row(picture.name, labels, files)


def write_whole(path: str, content: bytes) -> None:
    """Writes a file of any file system that Beam knows: a reader never sees half of it."""
    partial = posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.{secrets.token_hex(4)}.partial")
    with FileSystems.create(partial, compression_type="uncompressed") as stream:
        stream.write(content)
    FileSystems.rename([partial], [path])


def _areas_again(picture: Picture, out: str, files: LabelFiles) -> list:
    values = np.asarray(_label_map(picture, out, files))
    classes = np.zeros(max(files.ids) + 1, np.int64)
    classes[list(files.ids)] = np.arange(len(files.ids))
    return _row(picture.name, classes[values], files)


def _label_map(picture: Picture, out: str, files: LabelFiles) -> Image.Image:
    with FileSystems.open(_label_map_path(picture, out, files)) as stream:
        return Image.open(io.BytesIO(stream.read()))


def _label_map_path(picture: Picture, out: str, files: LabelFiles) -> str:
    ending = next(ending for output, ending in _READABLE.items() if output in files.write)
    return posixpath.join(out, f"{picture.name}{ending}")


def _row(name: str, labels: np.ndarray, files: LabelFiles) -> list:
    areas = shares(labels, files.class_names)
    return [name, *labels.shape, *(f"{areas[one]:.6f}" for one in files.class_names)]


def _failures(bad) -> Iterator[list]:
    for picture in bad[0]:
        yield _failure(picture, bad[1])


def _failure(picture: Picture, about: tuple) -> list:
    """The row of what Beam's exception handling kept: (type, its repr, lines of the traceback)."""
    sentence = about[2][-1].partition(": ")[2] or about[1]
    return [picture.uri, " ".join(sentence.split())]


def _table(parts, title: str, out: str, file: str, heads: Sequence[str]):
    lines = parts | f"all {title}" >> beam.Flatten() | f"lines of {title}" >> beam.Map(_line)
    target = posixpath.join(out, file)
    return lines | f"table of {title}" >> beam.io.WriteToText(target, header=_line(heads), num_shards=1, shard_name_template="")


def _line(row: Sequence) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()
