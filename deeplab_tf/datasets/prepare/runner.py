"""Makes the masks of a data set: in parallel, with progress, resumable; then the lists and the counts."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Sequence

from deeplab_tf import locks
from deeplab_tf.datasets.colors import mask_colors
from deeplab_tf.datasets.prepare import coco, origin, pascal_context, person_part, processes, voc
from deeplab_tf.datasets.prepare.sources import Task
from deeplab_tf.datasets.samples import list_samples, present_splits
from deeplab_tf.datasets.specs import RENDERED, DatasetSpec, get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import check_writable, make_folder, replacing

# What makes the masks; the data sets that are not here are read as published.
PREPARERS = {
    "voc2012": voc.tasks,
    "pascal_context": pascal_context.tasks,
    "pascal_person_part": person_part.tasks,
    "coco_voc": functools.partial(coco.tasks, voc_classes=True),
    "coco": functools.partial(coco.tasks, voc_classes=False),
}


def prepare(name: str, sources: Sequence[str], out: str | os.PathLike, workers: int | None = None) -> dict[str, int]:
    """Writes out/masks/ID.png and out/SPLIT.txt; what is there already is kept, so a stopped run goes on.

    Data sets that are read as they are published (cityscapes, camvid, the rendered scenes, folder) are only counted.

    Args:
      name: a data set's name.
      sources: folders with what its owners publish.
      out: folder to write, in the layout "list" of data/README.md.
      workers: processes; None: one a processor.

    Returns:
      Number of pictures by split; printed beside the published numbers as well.

    Raises:
      UserError: unknown name, something missing in the sources, a file that cannot be read or written, a folder that holds
        what was made from something else.
    """
    roots = [pathlib.Path(source) for source in sources]
    spec = get_dataset(name, roots[0] if roots else None)
    for root in roots:
        if not root.is_dir() and name not in RENDERED:
            raise UserError(f"--source={root}: no such folder.")
    if name not in PREPARERS:
        return _count_published(spec, roots)
    check_writable(out)
    splits = PREPARERS[name](roots)
    out = pathlib.Path(out)
    with locks.holding(out, "prepare_data"):
        origin.claim(out, name, [task for tasks in splits.values() for task in tasks])
        make_folder(out / "masks")
        return _write(spec, splits, out, workers)


def _write(spec: DatasetSpec, splits: dict[str, list[Task]], out: pathlib.Path, workers: int | None) -> dict[str, int]:
    tasks = {task.id: task for tasks in splits.values() for task in tasks}
    for task in tasks.values():
        if not os.path.isfile(task.image):
            raise UserError(f"{task.image}: the picture of {task.id!r} is missing; complete the source folder.")
    _make_masks(spec, list(tasks.values()), out, workers)
    counts = {}
    for split, members in splits.items():
        lines = [f"{os.path.abspath(task.image)}\t{_mask(task, out)}\n" for task in members if os.path.isfile(_mask(task, out))]
        counts[split] = len(lines)
        with replacing(out / f"{split}.txt") as partial:
            partial.write_text("".join(lines), encoding="utf-8")
        _report(spec, split, counts[split])
    return counts


def _make_masks(spec: DatasetSpec, tasks: list[Task], out: pathlib.Path, workers: int | None) -> None:
    left = [task for task in tasks if task.ready is None and not os.path.isfile(_mask(task, out))]
    if left:
        palette = mask_colors(spec).tobytes()
        calls = [(task, _mask(task, out), palette) for task in left]
        processes.run(_make_one, calls, workers, unit="mask", description=f"{spec.name}: {len(tasks) - len(left)} there")


def _make_one(task: Task, path: str, palette: bytes) -> None:
    from PIL import Image

    try:
        mask = task.make(*task.arguments)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:  # whatever a wrong entry trips
        raise UserError(
            f"{task.annotation}: the annotation of {task.id!r} cannot be painted ({error}); get the file again, or "
            "take the picture out of it."
        ) from None
    if mask is None:
        return
    image = Image.fromarray(mask, "L")
    image.putpalette(palette)  # the indices stay; the colours are for people who look at the file
    with replacing(path) as partial:
        image.save(partial, format="PNG")


def _mask(task: Task, out: pathlib.Path) -> str:
    return os.path.abspath(task.ready) if task.ready else os.path.abspath(out / "masks" / f"{task.id}.png")


def _count_published(spec: DatasetSpec, roots: Sequence[pathlib.Path]) -> dict[str, int]:
    print(f"{spec.name} is read as it is published; nothing to convert.")
    if not roots:
        raise UserError(f"--source: none given, expected the folder of {spec.name}.")
    there, missing = present_splits(spec, roots[0], spec.split_names)
    for split, reason in missing.items():
        print(f"  {spec.name} {split}: not there ({reason.rstrip('.')})")
    counts = {split: len(list_samples(spec, roots[0], split)) for split in there}
    for split, count in counts.items():
        _report(spec, split, count)
    return counts


def _report(spec: DatasetSpec, split: str, count: int) -> None:
    published = spec.published_size(split)
    beside = "" if published is None else f" (published: {published:,}{', the same' if published == count else ''})"
    print(f"  {spec.name} {split}: {count:,} pictures{beside}")
