"""Which files belong together: a mask or map, its picture, its true mask, its result."""

import dataclasses
import os
import pathlib

from deeplab_tf.errors import UserError
from deeplab_tf.refining.maps import SUFFIXES
from deeplab_tf.refining.rasters import MASK_SUFFIXES, PICTURE_SUFFIXES


@dataclasses.dataclass(frozen=True)
class Job:
    """The files of one picture; `picture` and `truth` are None where there is none."""

    name: str
    given: pathlib.Path
    picture: pathlib.Path | None
    truth: pathlib.Path | None
    result: pathlib.Path


def find_jobs(
    images: pathlib.Path,
    out: pathlib.Path,
    *,
    labels: pathlib.Path | None = None,
    scores: pathlib.Path | None = None,
    truth: pathlib.Path | None = None,
) -> list[Job]:
    """One for every mask of `labels` or every map of `scores`, in the order of their names.

    Raises:
        UserError: a folder is not there or holds nothing of its kind, or a result would replace one of the files.
    """
    given = _by_name("--scores", scores, SUFFIXES) if labels is None else _by_name("--labels", labels, MASK_SUFFIXES)
    pictures = _by_name("--images", images, PICTURE_SUFFIXES)
    truths = _by_name("--truth", truth, MASK_SUFFIXES) if truth else {}
    sources = {folder.resolve() for folder in (images, labels, scores, truth) if folder}
    if out.resolve() in sources:
        raise UserError(f"--out={out}: is one of the folders read from, whose files results would replace; give another one.")
    return [Job(name, path, pictures.get(name), truths.get(name), out / f"{name}.png") for name, path in given.items()]


def _by_name(flag: str, folder: pathlib.Path, suffixes: tuple[str, ...]) -> dict[str, pathlib.Path]:
    """Files by their names without endings; of namesakes the one whose ending comes first."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{flag}={folder}: cannot be read as a folder ({error.strerror}); correct the path.") from error
    found = {}
    for suffix in reversed(suffixes):
        found.update(
            {
                name[: -len(suffix)]: folder / name
                for name in names
                if name.lower().endswith(suffix) and not name.startswith(".")
            }
        )
    if not found:
        raise UserError(f"{flag}={folder}: holds no file of its kind, expected {', '.join(suffixes)}; name another folder.")
    return dict(sorted(found.items()))
