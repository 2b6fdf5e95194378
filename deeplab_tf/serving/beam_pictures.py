"""Where a pipeline's pictures come from, patterns or files of paths, and what their results are called."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
from apache_beam.io import fileio


@dataclasses.dataclass(frozen=True)
class Picture:
    """What passes through the pipeline.

    Attributes:
      uri: where the picture is.
      name: of its results below the folder of results, without an ending.
      image: uint8 [height, width, 3] RGB, once it is read; `checksum`: of its file, likewise.
    """

    uri: str
    name: str
    image: np.ndarray | None = None
    checksum: str | None = None


def pictures_of(source: str, column: str = "uri") -> beam.PTransform:
    """The pictures that `source` names, as a transform at the head of a pipeline.

    Args:
      source: a pattern of picture files; or a file or pattern that ends in .txt (a path a line), .tfrecord or .tfrecord.gz (a
        path, or a tf.train.Example, a record) or .parquet.
      column: of the Parquet file, or feature of the Examples, that holds the paths.
    """
    folder = posixpath.dirname(source)
    if source.endswith(".txt"):
        lines = "lines" >> beam.io.ReadFromText(source)
        return lines | "pictures of lines" >> beam.FlatMap(_of_line, folder)
    if source.endswith((".tfrecord", ".tfrecord.gz")):
        records = "records" >> beam.io.ReadFromTFRecord(source)
        return records | "lines of records" >> beam.Map(_of_record, column) | "pictures" >> beam.FlatMap(_of_line, folder)
    if source.endswith(".parquet"):
        rows = "rows" >> beam.io.ReadFromParquet(source, columns=[column])
        return rows | "lines of rows" >> beam.Map(lambda row: str(row[column])) | "pictures" >> beam.FlatMap(_of_line, folder)
    return "match" >> fileio.MatchFiles(source) | "pictures" >> beam.Map(_of_match, source)


def _of_line(line: str, folder: str) -> Iterable[Picture]:
    """Names as `predict` gives them: what a list names below its own folder keeps its sub-folders."""
    line = line.strip()
    if not line:
        return
    bare = posixpath.splitext(line)[0]
    if "://" in line:
        yield Picture(line, bare.partition("://")[2])
    elif line.startswith("/") or ".." in line.split("/"):
        yield Picture(posixpath.join(folder, line), posixpath.basename(bare))
    else:
        yield Picture(posixpath.join(folder, line), posixpath.normpath(bare))


def _of_record(record: bytes, column: str) -> str:
    if not record.startswith(b"\n"):  # the first byte of a tf.train.Example, and of no path
        return record.decode()
    import tensorflow as tf

    return tf.train.Example.FromString(record).features.feature[column].bytes_list.value[0].decode()


def _of_match(metadata, pattern: str) -> Picture:
    """The name is the path behind the pattern's fixed folders."""
    fixed = pattern[: min((pattern.index(mark) for mark in "*?[{" if mark in pattern), default=len(pattern))]
    below = metadata.path[len(posixpath.dirname(fixed)) :].lstrip("/")
    return Picture(metadata.path, posixpath.splitext(below)[0])
