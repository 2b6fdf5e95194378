"""What annotation tools export, as masks and lists: which files, which pictures, which classes, and what was left out."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

import tqdm

from deeplab_tf.datasets.colors import mask_colors
from deeplab_tf.datasets.prepare import class_names, coco_json, cvat, label_studio, labelme, origin, processes
from deeplab_tf.datasets.prepare.painting import OVERLAPS, Painted, write_mask
from deeplab_tf.datasets.prepare.picture_index import PictureIndex, files_below
from deeplab_tf.datasets.prepare.shapes import Picture
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import check_writable, make_folder, replacing

UNLABELLED = ("background", "void")
_SPLIT = re.compile(r"(?<![a-z])(train|val|test)(?:idation|id|ing)?(?![a-z])")


@dataclasses.dataclass(frozen=True)
class Tool:
    """How a tool exports: ending of its files, what reads one, and how the classes are ordered without a labels.txt."""

    ending: str
    read: Callable[[pathlib.Path], list[Picture]]
    order: Callable = list


TOOLS = {
    "labelme": Tool(".json", labelme.read, sorted),
    "coco_json": Tool(".json", coco_json.read),
    "cvat": Tool(".xml", cvat.read),
    "label_studio": Tool(".json", label_studio.read, sorted),
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an export.

    Attributes:
      counts: number of pictures by split.
      classes: names in the order of labels.txt.
      pixels: of all masks.
      overlapping: (pictures, pixels) where shapes of different classes overlap.
      left_out: (file, what and why).
    """

    counts: dict[str, int]
    classes: tuple[str, ...]
    pixels: int
    overlapping: tuple[int, int]
    left_out: tuple[tuple[str, str], ...]

    def summary(self) -> str:
        """A line for each split, for the classes and for the overlaps."""
        pictures, pixels = self.overlapping
        return "\n".join([
            *(f"  {split}: {count:,} pictures" for split, count in self.counts.items()),
            f"  classes: {', '.join(self.classes)}",
            f"  shapes of different classes overlap in {pictures:,} pictures, on {pixels:,} pixels "
            f"({pixels / self.pixels:.2%})",
        ])  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Job:
    picture: Picture
    image: str
    name: str
    split: str


def prepare_annotations(
    tool: str,
    sources: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    unlabelled: str,
    overlaps: str = "order",
    labels: str | os.PathLike | None = None,
    workers: int | None = None,
) -> Outcome:
    """Writes out/masks/NAME.png, out/SPLIT.txt and out/labels.txt, the data set "folder", from what a tool exports.

    What an earlier run wrote there is removed and all is made anew: annotations change, and with them the ids. A file, picture
    or shape that cannot be read is left out and told of; a picture with a wrong shape is left out as a whole.

    Args:
      tool: one of `TOOLS`.
      sources: folders, looked through with those below, that hold annotations and pictures; where files are named as well,
        those are the annotations and the folders hold the pictures.
      out: folder to write.
      unlabelled: what pixels without a shape are, "background" or "void".
      overlaps: "order": what the tool shows on top; "small_on_top": the smaller shape, whatever the order.
      labels: a labels.txt with the classes and their ids; None: the classes that the annotations name.
      workers: processes; None: one a processor.

    Raises:
      UserError: nothing can be read, too few or too many classes, a folder that holds what was made from something else, a
        folder or disk that refuses.
    """
    out, sources = pathlib.Path(out), [pathlib.Path(source) for source in sources]
    if unlabelled not in UNLABELLED or overlaps not in OVERLAPS:
        raise UserError(
            f"got unlabelled {unlabelled!r} and overlaps {overlaps!r}, expected one of {', '.join(UNLABELLED)} and "
            f"one of {', '.join(OVERLAPS)}."
        )
    check_writable(out)
    left_out: list[tuple[str, str]] = []
    jobs = _jobs(TOOLS[tool], sources, out, left_out)
    names = TOOLS[tool].order(dict.fromkeys(class_names.plain(name) for job in jobs for name in job.picture.classes))
    classes = class_names.from_file(labels, unlabelled) if labels else class_names.from_names(names, unlabelled)
    inputs = sorted(os.path.realpath(source) for source in sources)
    origin.start_anew(out, tool, inputs, [_mask(job) for job in jobs])
    _write(out / "labels.txt", classes.text)  # before the masks, whose ids it gives, should the run be stopped
    painted = _paint(jobs, out, classes, overlaps, workers)
    left_out += [(job.image, reason) for job, one in zip(jobs, painted, strict=True) for reason in one.left_out]
    made = [(job, one) for job, one in zip(jobs, painted, strict=True) if one.pixels]
    origin.remove(out, [_mask(job) for job, one in zip(jobs, painted, strict=True) if not one.pixels])  # their folders
    if not made:
        raise UserError(f"No picture could be made a mask of, for {left_out[0][0]}: {left_out[0][1]}.")
    counts = _write_lists([job for job, _ in made], out)
    overlapping = [one.overlapping for _, one in made if one.overlapping]
    return Outcome(counts, tuple(label.name for label in classes.spec.labels), sum(one.pixels for _, one in made),
                   (len(overlapping), sum(overlapping)), tuple(left_out))  # fmt: skip


def _jobs(tool: Tool, sources: Sequence[pathlib.Path], out: pathlib.Path, left_out: list[tuple[str, str]]) -> list[_Job]:
    """Every picture of every annotation file, found; what is not goes to `left_out`."""
    pictures = _pictures(tool, sources, out, left_out)
    named = [name for _, _, picture in pictures for name in picture.names]
    index = PictureIndex([source for source in sources if source.is_dir()], out, named)
    found = []
    for place, (path, _, picture) in enumerate(pictures):
        try:
            image, agreement = index.find(picture.names, path.parent)
        except ValueError as error:
            left_out.append((str(path), f"picture {picture.names[0]}: {error}"))
        else:
            found.append((-agreement, place, image))
    jobs, taken = {}, {}
    for _, place, image in sorted(found):  # of two that mean a picture, the one that names it best, else the first
        path, below, picture = pictures[place]
        name = index.name(image)
        if name in taken:
            reason = f"its mask would be called as that of {taken[name]}, which is taken"
            left_out.append((str(path), f"picture {picture.names[0]}: {reason}"))
            continue
        taken[name] = f"{image} in {path.name}"
        jobs[place] = _Job(picture, str(image), name, _split(picture.subset, below, index.place(image)))
    if not jobs:
        why = f", for {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise UserError(
            f"--source={','.join(map(str, sources))}: no {tool.ending} file there gives an annotated picture{why}; "
            "name the folders of the export and of its pictures."
        )
    return [jobs[place] for place in sorted(jobs)]


def _pictures(
    tool: Tool, sources: Sequence[pathlib.Path], out: pathlib.Path, left_out: list[tuple[str, str]]
) -> list[tuple[pathlib.Path, str, Picture]]:
    """The pictures of every annotation file with the file, and how it is called from the folder of the source on."""
    pictures = []
    for path, below in tqdm.tqdm(_annotation_files(tool, sources, out), unit="file", desc="annotations", disable=None):
        try:
            pictures += [(path, below, picture) for picture in tool.read(path)]
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            left_out.append((str(path), f"cannot be read ({type(error).__name__}: {error})"))
    return pictures


def _annotation_files(tool: Tool, sources: Sequence[pathlib.Path], out: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
    """The files that the sources name, else those below them, and how they are called from the folder of the source on."""
    found = {}
    for source in sources:
        if not source.exists():
            raise UserError(f"--source={source}: no such file or folder; correct the path.")
    named = [source for source in sources if source.is_file()]
    for source in named or sources:
        for path in [source] if named else files_below(source, out):
            if path.suffix.lower() == tool.ending:
                path = pathlib.Path(os.path.abspath(path))
                found.setdefault(path, os.path.relpath(path, os.path.abspath(source.parent)))
    return list(found.items())


def _split(*said: str) -> str:
    """train, val or test by the first that says so: the export, the annotation file's path, the picture's; else all."""
    for text in said:
        found = _SPLIT.findall(text.lower())
        if found:
            return found[-1]
    return "all"


def _paint(jobs: Sequence[_Job], out: pathlib.Path, classes, overlaps: str, workers: int | None) -> list[Painted]:
    for folder in {(out / _mask(job)).parent for job in jobs}:
        make_folder(folder)
    palette = mask_colors(classes.spec).tobytes()
    calls = [(job.picture, job.image, str(out / _mask(job)), classes, overlaps, palette) for job in jobs]
    return processes.run(write_mask, calls, workers, unit="mask")


def _write_lists(jobs: Sequence[_Job], out: pathlib.Path) -> dict[str, int]:
    lines = defaultdict(list)
    for job in sorted(jobs, key=lambda job: job.name):
        lines[job.split].append(f"{job.image}\t{os.path.abspath(out / _mask(job))}\n")
    origin.note_written(out, [_mask(job) for job in jobs] + [f"{split}.txt" for split in lines])
    for split in sorted(lines):
        _write(out / f"{split}.txt", "".join(lines[split]))
    return {split: len(lines[split]) for split in sorted(lines)}


def _write(path: pathlib.Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _mask(job: _Job) -> str:
    """Its path below the folder of results."""
    return f"masks/{job.name}.png"
