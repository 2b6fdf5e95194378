"""What a folder of prepared data was made from and what was written there, so that nothing passes for what it is not."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Collection, Iterable

from deeplab_tf.datasets.prepare.sources import Task
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import make_folder, replacing, unwritable

NAME = "made_from.json"


def claim(out: pathlib.Path, name: str, tasks: Collection[Task]) -> None:
    """Notes in `out` what it is made from; the same again, and more of the same, may go on there.

    Raises:
      UserError: `out` holds what was made from something else, or what nothing is known of.
    """
    claim_inputs(out, name, _inputs(tasks), holds=next((out / "masks").glob("*"), None) is not None)


def claim_inputs(out: pathlib.Path, name: str, inputs: list[str], holds: bool) -> None:
    """`claim` for any inputs; `holds`: something is there already, which a folder without a note must not have."""
    before = _read(out / NAME)
    if before is None and holds:
        raise UserError(
            f"{out}: holds data, but no {NAME} that says what they were made from; choose a new folder, or delete this one."
        )
    before = before or {"dataset": name, "inputs": []}
    if before["dataset"] != name:
        raise UserError(f"{out}: holds {before['dataset']}, got {name}; choose a new folder, or delete this one.")
    others = sorted(set(before["inputs"]) - set(inputs))
    if others:
        raise UserError(
            f"{out}: holds {name} from {', '.join(others)}, which is not what the sources given hold; choose a new "
            "folder, or delete this one."
        )
    if "written" in before:  # the rest of an earlier run stays known, until it is removed
        _note(out, name, inputs, before["written"])
    else:
        _note(out, name, inputs)


def start_anew(out: pathlib.Path, name: str, inputs: list[str], files: Iterable[str]) -> None:
    """`claim_inputs` for what every run makes anew: removes what earlier runs wrote, and notes that `files` will be written.

    Raises:
      UserError: as `claim_inputs`; or the note of `out` does not say what was written.
    """
    before, holds = _read(out / NAME), next((out / "masks").glob("*"), None) is not None
    if before and holds and before["dataset"] == name and "written" not in before:
        raise UserError(f"{out}: {NAME} does not say which files were written; choose a new folder, or delete this one.")
    claim_inputs(out, name, inputs, holds)
    remove(out, (before or {}).get("written", ()))
    note_written(out, files)


def note_written(out: pathlib.Path, files: Iterable[str]) -> None:
    """Notes which files, as paths below `out`, are of the last run: the next one removes these and no others."""
    made = _read(out / NAME)
    _note(out, made["dataset"], made["inputs"], sorted(files))


def remove(out: pathlib.Path, files: Iterable[str]) -> None:
    """Removes files below `out`, as far as they are there, and the folders that are empty then."""
    paths = [out / file for file in files]
    folders = {folder for path in paths for folder in path.parents if folder != out and folder.is_relative_to(out)}
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            pass
        except OSError as error:
            raise unwritable(path, error) from error
    for folder in sorted(folders, reverse=True):  # those within before those around them
        with contextlib.suppress(OSError):
            folder.rmdir()


def _note(out: pathlib.Path, name: str, inputs: list[str], written: list[str] | None = None) -> None:
    made = {"dataset": name, "inputs": inputs} | ({} if written is None else {"written": written})
    make_folder(out)
    with replacing(out / NAME) as partial:
        partial.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _inputs(tasks: Collection[Task]) -> list[str]:
    """Folders of pictures and masks or annotations; a file that holds those of many pictures by itself, with its size."""
    annotations = {task.ready or task.annotation for task in tasks}
    folders = {os.path.dirname(path) for path in {task.image for task in tasks} | annotations if not path.endswith(".json")}
    files = {f"{os.path.realpath(path)} ({os.path.getsize(path):,} bytes)" for path in annotations if path.endswith(".json")}
    return sorted({os.path.realpath(folder) for folder in folders} | files)


def _read(path: pathlib.Path) -> dict | None:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        written = {"written": list(made["written"])} if "written" in made else {}
        if any(os.path.isabs(file) or ".." in pathlib.PurePath(file).parts for file in written.get("written", ())):
            raise ValueError("names files outside the folder")  # which would be removed
        return {"dataset": made["dataset"], "inputs": list(made["inputs"])} | written
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected a note of the sources; choose a new folder.") from error
