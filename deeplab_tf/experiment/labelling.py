"""Pictures without number to label files. What `python -m deeplab_tf.pipeline` calls."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import logging
import os
import pathlib
import posixpath
import shutil
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.crf_choice import with_crf_inside
from deeplab_tf.experiment.network import crf_of
from deeplab_tf.experiment.segmenters import load_segmenter
from deeplab_tf.extras import needed
from deeplab_tf.inference.label_files import LabelFiles
from deeplab_tf.locks import holding

SETTINGS = "pipeline.json"

_log = logging.getLogger(__name__)


class Labelled(NamedTuple):
    """How many pictures have results now, and (picture, reason) of those that have none."""

    pictures: int
    failed: list[tuple[str, str]]


def label_pictures(
    config: ExperimentConfig,
    workdir: str | None,
    source: str,
    out: str,
    *,
    saved_model: str | None = None,
    crf_given: Collection[str] = (),
    column: str = "uri",
    write: Sequence[str] = ("palette", "overlay"),
    threads: int | None = None,
    beam_options: Sequence[str] = (),
) -> Labelled:
    """Runs the pipeline of `serving.beam` to its end.

    Args:
      config, workdir, saved_model, crf_given: as `predict` takes them.
      source, column: as `serving.beam_pictures.pictures_of` takes them.
      out: folder of the results, a path or URI; a folder of other settings is refused.
      write: names among `label_files.OUTPUTS`, "labels" or "palette" among them.
      threads: as `serving.beam.SegmenterHandler` takes it.
      beam_options: Beam's own, such as --runner=FlinkRunner.

    Raises:
      UserError: Beam is not installed, nothing is named, results of other settings, a local folder that another pipeline writes
        to, or as loading the network does.
    """
    beam, serving = _beam()
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    from deeplab_tf.serving.beam_pictures import pictures_of

    if "://" not in source:
        source = os.path.abspath(source)  # workers may stand in another folder
    if "://" not in out:
        out = os.path.abspath(out)
    if not FileSystems.match([source], limits=[1])[0].metadata_list:
        raise UserError(
            f"--input={source}: fits no file, expected a pattern such as pictures/*.jpg, or a .txt, .tfrecord or "
            ".parquet of paths; correct it."
        )
    load = functools.partial(
        load_segmenter,
        config,
        None if workdir is None else os.path.abspath(workdir),
        saved_model and os.path.abspath(saved_model),
    )
    network = load()  # here too, so that what is wrong with it is told before any work
    if saved_model:
        config, why = with_crf_inside(config, network.about, crf_given)
        _log.info("%s", why)
    crf = crf_of(config)
    files = LabelFiles(network.class_names, network.palette, write=tuple(write))
    transform = serving.LabelPictures(serving.SegmenterHandler(load, threads=threads), out, files, crf)
    with _alone(out):
        _claim(FileSystems, serving.write_whole, posixpath.join(out, SETTINGS), {
            "network": dict(network.origin), "classes": list(network.class_names), "write": sorted(write),
            "crf": crf and str(crf.params),
        })  # fmt: skip
        with beam.Pipeline(options=PipelineOptions(list(beam_options))) as pipeline:
            pipeline | "source" >> pictures_of(source, column) | "label" >> transform
        shares, failed = (_rows(FileSystems, posixpath.join(out, file)) for file in (serving.SHARES, serving.FAILED))
    return Labelled(len(shares), [(uri, reason) for uri, reason in failed])


def _beam():
    apache_beam = needed("apache_beam", "beam", "a pipeline")
    from deeplab_tf.serving import beam

    return apache_beam, beam


@contextlib.contextmanager
def _alone(out: str) -> Iterator[None]:
    """Holds a folder of this machine, and takes away what a killed run left there half-written."""
    if "://" in out:
        yield
        return
    with holding(out, "pipeline"):
        for partial in pathlib.Path(out).rglob(".*.partial"):
            partial.unlink(missing_ok=True)
        for folder in pathlib.Path(out).glob("beam-temp-*"):
            shutil.rmtree(folder, ignore_errors=True)
        yield


def _claim(file_systems, write_whole, path: str, about: dict) -> None:
    """Writes the settings into a new folder; refuses one with others."""
    about = json.loads(json.dumps(about))
    if not file_systems.exists(path):
        return write_whole(path, (json.dumps(about) + "\n").encode())
    with file_systems.open(path) as stream:
        there = json.loads(stream.read())
    if there != about:
        changed = ", ".join(sorted(name for name in {*about, *there} if about.get(name) != there.get(name)))
        raise UserError(
            f"{path}: the results there came about otherwise ({changed} differ), expected the same settings to go "
            "on; give another --out."
        )


def _rows(file_systems, path: str) -> list[list[str]]:
    """Of a table, without its heads."""
    with file_systems.open(path) as stream:
        return list(csv.reader(io.StringIO(stream.read().decode())))[1:]
