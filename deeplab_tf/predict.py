"""Label maps of pictures: `python -m deeplab_tf.predict --workdir=DIR --out=FOLDER PICTURES …`.

PICTURES are files, folders (--recursive: with those below), patterns such as "a/*.jpg", and .txt lists of files, in every
format that Pillow opens, and videos (extra `video`), of which an overlay video and a table of areas by frame are written.
--weights=FILE --model=NAME --dataset=NAME (or --labels=labels.txt) in place of --workdir takes a weights file,
--saved_model=PATH what `export` wrote, in any format. After the dense CRF (--crf, --nocrf; where neither is given a run's
evaluation decides, or what was exported).

--write says which files: labels (NAME_labels.png, the grey level is the id), palette (NAME.png, the index is the id, in the
data set's colours), overlay (NAME_overlay.jpg), probabilities (NAME_probabilities.npy, float16), confidence
(NAME_confidence.png), shares (shares.csv and shares.json: the area of every class in every picture); and for annotation tools
coco_rle (NAME_coco.json, coco.json of all pictures), coco_polygons, label_studio, cvat (likewise) and labelme (NAME.json).
The ids are the network's, 0 to classes - 1; --label_ids writes the data set's own (of Cityscapes the labelIds that its server
wants). A picture that cannot be read is told of at the end, with exit code 2; the same command again does what is missing.
"""

import sys

from absl import flags as absl_flags

from deeplab_tf.errors import UserError, some_failed
from deeplab_tf.experiment.flags import config_of_network, crf_as_evaluated, define_network, given_crf, quiet_logs, require, run
from deeplab_tf.experiment.settings import CRF_STAGE


def define(flags):
    define_network(flags, ("eval_scales", "fusion", "flip", "tile", "memory_limit", *CRF_STAGE))
    absl_flags.DEFINE_string("out", None, "folder of the label maps", flag_values=flags)
    absl_flags.DEFINE_list("write", ["palette", "overlay"], "what is written of every picture", flag_values=flags)
    absl_flags.DEFINE_bool("recursive", False, "look into the folders below a folder too", flag_values=flags)
    absl_flags.DEFINE_bool("label_ids", False, "write the data set's own ids, as its masks hold them", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace label maps that are there", flag_values=flags)


def main(flags, arguments):
    out = require(flags, "out")
    config = config_of_network(flags)
    if not arguments:
        raise UserError("No pictures were named, expected files, folders, patterns or lists behind the flags.")
    config = crf_as_evaluated(flags, config)
    quiet_logs()
    from deeplab_tf.experiment.predicting import predict

    outcome = predict(
        config, flags.workdir, arguments, out, saved_model=flags.saved_model, crf_given=given_crf(flags),
        recursive=flags.recursive, write=flags.write, label_ids=flags.label_ids, overwrite=flags.overwrite,
    )  # fmt: skip
    done = f"; {outcome.skipped:,} pictures were done before" if outcome.skipped else ""
    print(f"{outcome.pictures:,} pictures{done}: {out}")
    for path, reason in outcome.failed:
        print(f"{path}: {reason}", file=sys.stderr)
    if outcome.failed:
        raise some_failed(len(outcome.failed), "read", "the reasons stand above")


def cli() -> None:
    run(main, define, positional=True)


if __name__ == "__main__":
    cli()
