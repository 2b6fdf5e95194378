"""Many pictures to label files: resumable, and a broken picture does not stop the others."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from deeplab_tf.crf.stage import refine_stream
from deeplab_tf.errors import UserError
from deeplab_tf.inference import video
from deeplab_tf.inference.label_files import Done, LabelFiles, Prediction, shares
from deeplab_tf.inference.picture_files import PictureFile, checksum, read_upright
from deeplab_tf.whole_files import check_writable, make_folder, replacing, unwritable

LOG = "predict.jsonl"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the pictures.

    Attributes:
      pictures: how many were done now.
      written: their files, in order.
      skipped: how many were done by an earlier run with the same settings.
      failed: (file, reason) of those that could not be read.
    """

    pictures: int
    written: tuple[pathlib.Path, ...]
    skipped: int
    failed: tuple[tuple[pathlib.Path, str], ...]


def predict_pictures(
    segment: Callable[[np.ndarray], np.ndarray],
    pictures: Sequence[PictureFile],
    out_dir: str | os.PathLike,
    files: LabelFiles,
    *,
    label: Callable[[np.ndarray], np.ndarray] | None = None,
    crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    crf_workers: int = 2,
    settings: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Outcome:
    """Writes the label files of every picture; the CRF of one picture runs beside the network of the next.

    `out_dir` also gets predict.jsonl: the settings, then a line for every picture that is done. A later call with the same
    settings does what is missing, or what has other pixels now. Memory does not grow with the number of pictures.

    Args:
      segment: uint8 [height, width, 3] RGB -> float32 [height, width, K].
      pictures: see `find_pictures`; none is ever replaced by a result.
      out_dir: made if it is not there.
      files: what is written.
      label: uint8 [height, width, 3] RGB -> class ids [height, width], which takes the place of `segment` where neither the CRF
        nor a file needs probabilities: those of a large picture may not fit the memory.
      crf: a DenseCRF, or None.
      crf_workers: threads that run it.
      settings: JSON-able facts that the results depend on besides `files` and `crf`, such as a digest of the network.
      overwrite: replace results that are there, of other settings or of unknown origin.

    Raises:
      UserError: results that are there already or would replace a picture; a folder or disk that refuses.
    """
    out_dir = pathlib.Path(out_dir)
    check_writable(out_dir)
    about = json.loads(json.dumps(dict(settings or {}) | _about(files, crf), default=str))
    log = _Log(out_dir, about, overwrite)
    _check_targets(pictures, out_dir, files, log, overwrite)
    waiting = [picture for picture in pictures if not log.is_done(picture, _targets(picture, out_dir, files))]
    failed, written = [], []
    refine = _as_it_is if crf is None else _telling(crf)
    if label is None or crf is not None or files.needs_probabilities:
        label = segment

    def fails(picture: PictureFile, error: UserError) -> None:
        failed.append((picture.path, str(error).removeprefix(f"{picture.path}: ")))
        bar.update()

    def stream() -> Iterator:
        for picture in (picture for picture in waiting if not picture.is_video):
            try:
                image = read_upright(picture.path)
                found = label(image)
            except UserError as error:
                fails(picture, error)
                continue
            yield (picture, image), image, found

    with logging_redirect_tqdm(), tqdm.tqdm(total=len(waiting), unit="picture", dynamic_ncols=True) as bar:
        for (picture, image), found in refine_stream(refine, stream(), crf_workers, ahead=crf_workers):
            if isinstance(found, UserError):
                fails(picture, found)
                continue
            prediction = _prediction(picture, image, found, out_dir)
            log.begin()
            written += files.save(prediction, out_dir, picture.name)
            log.done(picture, image.shape[:2], shares(prediction.labels, files.class_names))
            bar.update()
        for picture in (picture for picture in waiting if picture.is_video):
            log.begin()
            try:
                height, width, found = video.label_video(
                    segment, picture.path, out_dir, picture.name, files, crf=crf or _as_it_is, crf_workers=crf_workers
                )
            except UserError as error:
                fails(picture, error)
                continue
            written += _targets(picture, out_dir, files)
            log.done(picture, (height, width), found)
            bar.update()
    files.save_tables([log.done_of(picture) for picture in pictures if picture.name in log.lines], out_dir)
    return Outcome(len(waiting) - len(failed), tuple(written), len(pictures) - len(waiting), tuple(failed))


def _targets(picture: PictureFile, out_dir: pathlib.Path, files: LabelFiles) -> list[pathlib.Path]:
    """A video's are its overlay and its table of areas, whatever is written of pictures."""
    return video.paths(out_dir, picture.name) if picture.is_video else files.paths(out_dir, picture.name)


def _prediction(picture: PictureFile, image: np.ndarray, found: np.ndarray, out_dir: pathlib.Path) -> Prediction:
    """`found` is labels [height, width] or probabilities [height, width, K]."""
    labels, probabilities = (found, None) if found.ndim == 2 else (found.argmax(axis=-1), found)
    seen_from = (out_dir / picture.name).parent
    source = pathlib.Path(os.path.relpath(picture.path, seen_from)).as_posix()
    return Prediction(image, labels, probabilities, picture.file_name, source)


def _as_it_is(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """In place of a CRF."""
    return found


def _telling(crf: Callable) -> Callable[[np.ndarray, np.ndarray], np.ndarray | UserError]:
    """The CRF, which hands back its refusal of a picture (one too large for its memory) instead of ending the others."""

    def refine(image: np.ndarray, probabilities: np.ndarray) -> np.ndarray | UserError:
        try:
            return crf(image, probabilities)
        except ValueError as error:
            return error if isinstance(error, UserError) else UserError(str(error))

    return refine


def _about(files: LabelFiles, crf) -> dict:
    params = getattr(crf, "params", crf)
    return {
        "classes": list(files.class_names), "ids": list(files.ids), "write": sorted(files.write), "crf": params and str(params)
    }  # fmt: skip


class _Log:
    """predict.jsonl: its first line tells the settings, every other one a picture that is done."""

    def __init__(self, out_dir: pathlib.Path, about: dict, overwrite: bool):
        self.path, self.about, self.lines = out_dir / LOG, about, {}
        self._new, self._cut = overwrite or not self.path.exists(), False
        if self._new:
            return
        head, *lines = self._read()
        if head != {"settings": about}:
            changed = sorted(
                name for name in {*about, *head.get("settings", {})} if about.get(name) != head.get("settings", {}).get(name)
            )
            raise UserError(
                f"{self.path}: the results there came about otherwise ({', '.join(changed)} differ), expected the "
                "same settings to go on; give --overwrite or another --out."
            )
        self.lines = {line["name"]: line for line in lines}

    def _read(self) -> list[dict]:
        found = []
        text = self.path.read_text(encoding="utf-8")
        self._cut = not text.endswith("\n")
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the line that was being written when the run died
                found.append(json.loads(line))
        return found or [{}]

    def begin(self) -> None:
        """Claims the folder: from now on the results in it are known to be of these settings."""
        if self._new:
            make_folder(self.path.parent)
            with replacing(self.path) as partial:
                partial.write_text(json.dumps({"settings": self.about}) + "\n", encoding="utf-8")
            self._new = False

    def is_done(self, picture: PictureFile, paths: Sequence[pathlib.Path]) -> bool:
        """Whether an earlier run wrote the files of these very contents."""
        line = self.lines.get(picture.name)
        return bool(line) and all(path.exists() for path in paths) and line["checksum"] == checksum(picture.path)

    def done(self, picture: PictureFile, size: tuple[int, int], found: dict[str, float]) -> None:
        """A line for a picture whose files are written."""
        line = {"name": picture.name, "picture": str(picture.path), "checksum": checksum(picture.path),
                "height": size[0], "width": size[1], "shares": found}  # fmt: skip
        try:
            with open(self.path, "a", encoding="utf-8") as log:
                log.write("\n" * self._cut + json.dumps(line) + "\n")
            self._cut = False
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.lines[picture.name] = line

    def done_of(self, picture: PictureFile) -> Done:
        line = self.lines[picture.name]
        return Done(picture.name, picture.file_name, line["height"], line["width"], line["shares"])


def _check_targets(pictures, out_dir, files: LabelFiles, log: _Log, overwrite: bool) -> None:
    """No result may take the place of a picture, nor of a file that no run of predict is known to have written."""
    sources = {picture.path.resolve() for picture in pictures}
    tables = files.tables(out_dir)
    for picture in pictures:
        targets = _targets(picture, out_dir, files)
        for target in [*targets, *tables]:
            if target.resolve() in sources:
                raise UserError(f"{target}: one of the pictures would be replaced by a result; choose another --out.")
            if target.exists() and not overwrite and not log.path.exists():
                raise UserError(f"{target} is there already; give --overwrite or another --out.")
        for target in {*targets} & {*tables}:
            raise UserError(f"{target}: would be the result of a picture and of all pictures; rename the picture.")
