"""Refines masks or maps with the dense CRF: `python -m deeplab_tf.refine --images=DIR --labels=DIR|--scores=DIR --out=DIR`.

--labels holds masks of class ids (palette or grey PNG, TIFF, .npy); --scores score or activation maps (.npy arrays, dicts
as IRN and AffinityNet write them, .npz of eval --save_scores). Files belong together by name. OUT receives NAME.png,
result.json, and settings.json: run again, a stopped run goes on. With --truth it measures mIoU before and after.
"""

import pathlib
import sys

from absl import flags as absl_flags

from deeplab_tf import locks
from deeplab_tf.crf.params import PRESETS
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import require, run
from deeplab_tf.whole_files import check_writable


def define(flags):
    absl_flags.DEFINE_string("images", None, "folder of the pictures", flag_values=flags)
    absl_flags.DEFINE_string("labels", None, "folder of masks to refine", flag_values=flags)
    absl_flags.DEFINE_string("scores", None, "folder of score or activation maps to refine", flag_values=flags)
    absl_flags.DEFINE_string("truth", None, "folder of true masks, to measure mIoU", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder for the refined masks", flag_values=flags)
    absl_flags.DEFINE_string(
        "preset", "resnet101_voc2012", f"for CRF and maps: {', '.join(PRESETS)}, or a file of crf_search", flag_values=flags
    )
    absl_flags.DEFINE_string(
        "background",
        None,
        "of maps that leave it out: a number (0.30), power:ALPHA for (1 - highest map)^ALPHA, or two, between which pixels "
        "stay unsure; none: it is among the maps; default: the preset's",
        flag_values=flags,
    )
    absl_flags.DEFINE_string(
        "certainty",
        None,
        "trust in labels, 0..1; of maps: in the best classes, or none for their values; default: masks 0.9, maps the preset's",
        flag_values=flags,
    )
    absl_flags.DEFINE_string("unsure", "255", "id of pixels without a label in all masks, or none", flag_values=flags)
    absl_flags.DEFINE_integer(
        "window", 1024, "longer pictures are cut into windows of so many pixels a side", flag_values=flags
    )
    absl_flags.DEFINE_integer("halo", 128, "of which so many at each side are context", flag_values=flags)
    absl_flags.DEFINE_integer("threads", None, "windows in work at once; default: all processors", 1, flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "remove results that are there and start anew", flag_values=flags)


def main(flags, arguments):
    images, out = pathlib.Path(require(flags, "images")), pathlib.Path(require(flags, "out"))
    if (flags.labels is None) == (flags.scores is None):
        raise UserError("--labels, --scores: got both or none, expected one of them; give the folder of masks or of maps.")
    check_writable(out, "--out")
    from PIL import Image  # only now, so that --help is quick

    from deeplab_tf.crf.engines import engine_missing
    from deeplab_tf.refining.jobs import find_jobs
    from deeplab_tf.refining.run import check_unsure, refine_folder
    from deeplab_tf.refining.settings import REPORT, choose_settings, claim_folder

    given = {name: pathlib.Path(flags[name].value) for name in ("labels", "scores", "truth") if flags[name].value}
    settings = choose_settings(
        flags.preset, flags.scores is not None, flags.background, flags.certainty, flags.unsure, flags.window, flags.halo
    )
    jobs = find_jobs(images, out, **given)
    if flags.labels and not flags["unsure"].present:
        check_unsure(jobs[:5], settings)
    Image.MAX_IMAGE_PIXELS = None  # Pillow's guard for servers; whoever names a large picture means it
    if engine_missing():
        print(engine_missing(), file=sys.stderr)
    with locks.holding(out, "refine"):
        claim_folder(out, settings, {"images": images, **given}, jobs, flags.overwrite)
        outcome = refine_folder(jobs, settings, flags.threads)
        outcome.write(out / REPORT)
    for name, reason in outcome.failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    print("\n".join([*outcome.lines(), f"written to {out}"]))
    if outcome.failed:
        raise UserError(f"{len(outcome.failed)} of {len(jobs)} pictures failed, see above; mend them and run again.")


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
