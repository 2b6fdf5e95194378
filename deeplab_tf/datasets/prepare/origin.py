"""What a folder of prepared data was made from, so that nothing of one source ever passes for another's."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Collection

from deeplab_tf.datasets.prepare.sources import Task
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import make_folder, replacing

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
    make_folder(out)
    with replacing(out / NAME) as partial:
        partial.write_text(json.dumps({"dataset": name, "inputs": inputs}, indent=1) + "\n", encoding="utf-8")


def _inputs(tasks: Collection[Task]) -> list[str]:
    """Folders of pictures and masks or annotations; a file that holds those of many pictures by itself, with its size."""
    annotations = {task.ready or task.annotation for task in tasks}
    folders = {os.path.dirname(path) for path in {task.image for task in tasks} | annotations if not path.endswith(".json")}
    files = {f"{os.path.realpath(path)} ({os.path.getsize(path):,} bytes)" for path in annotations if path.endswith(".json")}
    return sorted({os.path.realpath(folder) for folder in folders} | files)


def _read(path: pathlib.Path) -> dict | None:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        return {"dataset": made["dataset"], "inputs": list(made["inputs"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected a note of the sources; choose a new folder.") from error
