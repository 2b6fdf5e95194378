"""How masks and maps are refined, and the file that remembers it beside the results."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from deeplab_tf.crf.params import PRESETS, CrfParams, get_preset, load_preset
from deeplab_tf.errors import UserError
from deeplab_tf.refining.background import parse_backgrounds
from deeplab_tf.refining.jobs import Job
from deeplab_tf.whole_files import replacing, unwritable

MARKER, REPORT = "settings.json", "result.json"  # beside the results
# What goes with a preset's CRF parameters where they were published for class activation maps, as (background, certainty):
# jiwoon-ahn/irn, run_sample.py and misc/imutils.py; jiwoon-ahn/psa, infer_cls.py (low_alpha, high_alpha).
_OF_MASKS = 0.9  # certainty; 0.7, pydensecrf's example, spoils good masks: measured on VOC masks that were off by 8 pixels
_MAPS = {"irn": ("0.30,0.05", 0.7), "affinitynet": ("power:4,power:32", None)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that the results depend on beside the files.

    Attributes:
        params: of the CRF.
        from_maps: maps are given; else masks.
        background: of maps without one, as `parse_backgrounds` reads it; "" for maps that have one.
        certainty: of masks, and of the best class of maps; None takes maps as probabilities.
        unsure: id of pixels without a label in all masks, read and written; None: all ids are classes.
        side: most pixels a side that the CRF sees at once, halo and all. Windows of 1,024 pixels took 1.2 GB with two in
            work and 5 classes, whatever the picture's size.
        halo: pixels of context round what is kept, where a picture is cut. Beyond 100 pixels more did not bring the labels
            nearer to those of the uncut picture (99.95 % the same, Cityscapes, sigma_alpha 67): the lattice begins where the
            window does.
    """

    params: CrfParams
    from_maps: bool = False
    background: str = ""
    certainty: float | None = None
    unsure: int | None = 255
    side: int = 1024
    halo: int = 128

    def __post_init__(self):
        if self.certainty is not None and not 0 < self.certainty < 1:
            raise UserError(f"--certainty: got {self.certainty:g}, expected a number above 0 and below 1.")
        if self.unsure is not None and not 0 <= self.unsure <= 255:
            raise UserError(f"--unsure: got {self.unsure}, expected an id in 0..255 or none.")
        if self.halo < 0 or self.side <= 2 * self.halo:
            raise UserError(
                f"--window, --halo: got {self.side} and {self.halo} pixels, expected a halo of at least 0 and a "
                "window of more than two halos."
            )
        if self.unsure is None and "," in self.background:
            raise UserError("--unsure: got none with two backgrounds, expected the id of the pixels between them.")


def choose_settings(
    preset: str, from_maps: bool, background: str | None, certainty: str | None, unsure: str, side: int, halo: int
) -> Settings:
    """Settings of the door's flags; what was not given is the preset's.

    Raises:
        UserError: a flag that cannot be read, is out of range or has no use here.
    """
    params = load_preset(preset) if preset not in PRESETS and pathlib.Path(preset).exists() else get_preset(preset)
    if background is not None and not from_maps:
        raise UserError(f"--background: got {background} with masks, which have theirs; it is for --scores.")
    for_maps = _MAPS.get(preset, ("none", None))
    background = (for_maps[0] if background is None else background) if from_maps else "none"
    background = "" if background == "none" else background
    parse_backgrounds(background)
    default = for_maps[1] if from_maps else _OF_MASKS
    certainty = default if certainty is None else _number("certainty", certainty, float)
    if certainty is None and not from_maps:
        raise UserError("--certainty: got none with masks, expected a number above 0 and below 1.")
    return Settings(params, from_maps, background, certainty, _number("unsure", unsure, int), side, halo)


def _number(flag: str, text: str, kind):
    if text == "none":
        return None
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"--{flag}: got {text!r}, expected a number or none.") from None


def claim_folder(
    out: pathlib.Path, settings: Settings, folders: dict[str, pathlib.Path], jobs: Sequence[Job], overwrite: bool
) -> None:
    """Notes in `out` how its results are made, so that a later run goes on with the same settings or not at all.

    With `overwrite` the results that are there go first: a run that is stopped must not take them for its own.

    Raises:
        UserError: results that are there were made with other settings, from other folders or by somebody else; or the
            folder refuses.
    """
    sources = {name: str(folder.resolve()) for name, folder in folders.items() if name != "truth"}  # changes no result
    # The orientation: folders of before 0.2 were made from pictures as stored, and must not be gone on with.
    wanted = json.loads(json.dumps({**sources, "orientation": "upright", **dataclasses.asdict(settings)}))
    marker = out / MARKER
    foreign = [job.result for job in jobs if job.result.exists()] if not overwrite and not marker.exists() else []
    if foreign:
        raise UserError(f"{foreign[0]}: is there already and no result of this door; give another --out or --overwrite.")
    if not overwrite and marker.exists():
        there = _read(marker)
        differing = [name for name in wanted if there.get(name) != wanted[name]]
        if differing:
            raise UserError(
                f"--out={out}: its results were made with other settings ({', '.join(differing)}: see {marker}); "
                "give another folder, the same settings, or --overwrite to start anew."
            )
        return
    for path in (out / REPORT, *(job.result for job in jobs)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
    with replacing(marker) as partial:
        partial.write_text(json.dumps(wanted, indent=2) + "\n")


def _read(marker: pathlib.Path) -> dict:
    try:
        found = json.loads(marker.read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
