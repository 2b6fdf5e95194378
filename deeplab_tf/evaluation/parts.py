"""The counts of an evaluation, or of a shard of it, in one file: what is merged and what is compared."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Sequence

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.intervals import iou_of
from deeplab_tf.evaluation.tally import Tally
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve
from deeplab_tf.whole_files import make_folder, replacing

PICTURES = "pictures.npz"


@dataclasses.dataclass(frozen=True)
class Part:
    """What a file holds.

    Attributes:
      path: of the file.
      about: data set, class names, ignored classes, trimap, shard [i, n], settings, seconds, and of a shard the gallery's size,
        the network's digest, the whole set and the command that made it.
      ids, places: of the pictures, and their numbers in the set.
      stages: "before" and perhaps "after" -> the arrays of `Stage.state`.
      exhibits: of a shard, `Exhibits.state`; else None.
      masks: checksums of the pictures' true ids; empty in older files.
    """

    path: pathlib.Path
    about: dict
    ids: tuple[str, ...]
    places: tuple[int, ...]
    stages: dict[str, dict[str, np.ndarray]]
    exhibits: dict | None = None
    masks: tuple[int, ...] = ()

    def counts(self, stage: str, ignore_label: int) -> ConfusionMatrix:
        """The confusion matrix of a stage."""
        return ConfusionMatrix.from_matrix(self.stages[stage]["matrix"], ignore_label).ignoring(self.about["ignored"])

    def picture_iou(self, stage: str) -> np.ndarray:
        """float64 [pictures, K]: the IoU of each picture alone at a stage, NaN for a class that is not there."""
        return iou_of(self.stages[stage]["classes"], self.about["ignored"])

    def curve(self, stage: str, ignore_label: int) -> TrimapCurve | None:
        """The curve round boundaries of a stage; None where none was drawn."""
        rings = self.stages[stage].get("rings")
        if rings is None:
            return None
        curve = TrimapCurve(rings.shape[1], self.about["trimap"], len(rings) - 1, ignore_label)
        curve.add_rings(rings)
        return curve


def shard_path(out_dir: str | os.PathLike, shard: tuple[int, int]) -> pathlib.Path:
    """The file of shard i of n."""
    return pathlib.Path(out_dir) / "shards" / f"{shard[0]}-of-{shard[1]}.npz"


def save_part(path: str | os.PathLike, tally: Tally, about: dict, exhibits: dict | None = None) -> None:
    """Writes the counts, and what a report shows beside them, whole or not at all; UserError where the disk refuses."""
    path, stream = pathlib.Path(path), io.BytesIO()
    arrays = {f"{stage}/{name}": array for stage, counts in tally.stages.items() for name, array in counts.state().items()}
    facts = {"dataset": tally.spec.name, "classes": list(tally.spec.class_names), "ignored": list(tally.ignored),
             "trimap": tally.trimap} | about  # fmt: skip
    arrays |= {name: np.array(getattr(tally, name)) for name in ("ids", "places", "masks")}
    arrays["about"] = np.array(json.dumps(facts))
    if exhibits is not None:
        arrays["exhibits"] = np.frombuffer(json.dumps(exhibits).encode(), np.uint8)
    np.savez_compressed(stream, **arrays)
    make_folder(path.parent)
    with replacing(path) as partial:
        partial.write_bytes(stream.getvalue())


def load_part(path: str | os.PathLike) -> Part:
    """Reads what `save_part` wrote.

    Raises:
      UserError: the file is missing or damaged.
    """
    path = pathlib.Path(path)
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        ids, places = (tuple(arrays.pop(name).tolist()) for name in ("ids", "places"))
        masks = tuple(arrays.pop("masks").tolist()) if "masks" in arrays else ()
        exhibits = json.loads(arrays.pop("exhibits").tobytes()) if "exhibits" in arrays else None
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; evaluate first.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected the counts of an evaluation; evaluate again.") from error
    stages: dict = {}
    for name, array in arrays.items():
        stage, _, what = name.partition("/")
        stages.setdefault(stage, {})[what] = array
    return Part(path, about, ids, places, stages, exhibits, masks)


_SHARED = {name: name for name in ("dataset", "classes", "ignored", "trimap", "settings", "gallery", "network")}
_SHARED["whole"] = "the set's pictures or masks"  # as messages call what all shards have in common


def load_shards(out_dir: str | os.PathLike) -> list[Part]:
    """The shards of a whole set, in order.

    Raises:
      UserError: names those that are missing, overlap, or came about with other settings.
    """
    folder = pathlib.Path(out_dir) / "shards"
    parts = [load_part(path) for path in sorted(folder.glob("*-of-*.npz"))]
    if not parts:
        raise UserError(f"--merge: {folder} holds no shards, expected i-of-n.npz as eval --shard=i/n writes them.")
    count = parts[0].about["shard"][1]
    for part in parts:
        if part.about["shard"][1] != count:
            raise UserError(
                f"--merge: {part.path.name} and {parts[0].path.name} overlap, expected shards of one division; "
                "remove those of the other."
            )
        changed = [words for name, words in _SHARED.items() if part.about.get(name) != parts[0].about.get(name)]
        if changed:
            raise UserError(
                f"--merge: {part.path.name} and {parts[0].path.name} differ in {', '.join(changed)}, expected "
                "shards of one evaluation; make one of them again."
            )
    missing = sorted(set(range(1, count + 1)) - {part.about["shard"][0] for part in parts})
    if missing:
        raise UserError(
            f"--merge: shard {', '.join(f'{number}/{count}' for number in missing)} of {folder} is missing; "
            f"evaluate with --shard={missing[0]}/{count}."
        )
    _refuse_twins(parts)
    return sorted(parts, key=lambda part: part.about["shard"][0])


def tally_of(spec, parts: Sequence[Part]) -> Tally:
    """The counts of all parts, in the order of the set."""
    first = parts[0]
    tally = Tally(spec, "after" in first.stages, first.about["trimap"], first.about["ignored"])
    for part in parts:
        tally.ids += part.ids
        tally.places += part.places
        tally.masks += part.masks
        for name, stage in tally.stages.items():
            stage.add_state(part.stages[name])
    return tally.in_order()


def _refuse_twins(parts: Sequence[Part]) -> None:
    seen: dict = {}
    for part in parts:
        for id in part.ids:
            if id in seen:
                raise UserError(
                    f"--merge: picture {id} is in {seen[id].name} and {part.path.name}, expected it once; make "
                    "the shards again."
                )
            seen[id] = part.path
