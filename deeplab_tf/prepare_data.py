"""Turns a data set as its owners publish it, or what an annotation tool exports, into id masks and lists.

    python -m deeplab_tf.prepare_data NAME --source=DIR[,DIR…] --out=DIR [--records=DIR]
    python -m deeplab_tf.prepare_data TOOL --source=DIR_OR_FILE[,…] --out=DIR --unlabelled=background|void

NAME is a data set: voc2012, pascal_context, pascal_person_part, coco_voc or coco; the others are read as published and only
counted. --records also writes it as TFDS shards. A stopped run goes on where it was; the counts are printed beside the
published ones. data/README.md says where to get each data set and how it lies on disk.
TOOL is labelme, coco_json, cvat or label_studio; what is written is the data set "folder". --overlaps says which shape lies on
top where two overlap: by default the one that the tool shows there (order), or the smaller one (small_on_top). --labels names
a labels.txt with the classes and their ids; else they are those of the annotations. What could not be read is told of at the
end, with exit code 2; the rest is done.
"""

import sys

from absl import flags as absl_flags

from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, require, run

OF_TOOL = ("unlabelled", "overlaps", "labels")


def define(flags):
    from deeplab_tf.datasets.prepare.annotations import OVERLAPS, UNLABELLED

    absl_flags.DEFINE_list("source", [], "folders (of a tool: or files) to read, comma separated", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder to write: masks/ID.png and SPLIT.txt", flag_values=flags)
    absl_flags.DEFINE_string("records", None, "folder for TFDS shards of the data set as well", flag_values=flags)
    absl_flags.DEFINE_enum("unlabelled", None, UNLABELLED, "what pixels in no shape are", flag_values=flags)
    absl_flags.DEFINE_enum("overlaps", "order", OVERLAPS, "which of two shapes lies on top", flag_values=flags)
    absl_flags.DEFINE_string("labels", None, "labels.txt with the classes of a tool", flag_values=flags)
    absl_flags.DEFINE_integer("workers", None, "processes (default: one a processor)", 1, flag_values=flags)


def main(flags, arguments):
    if len(arguments) != 1:
        raise UserError(f"NAME: got {arguments}, expected the name of one data set or tool, such as voc2012 or labelme.")
    from deeplab_tf.datasets.prepare.annotations import TOOLS

    if not flags.source:
        raise UserError(f"--source: not given, expected the folder with {arguments[0]} as it is published or exported.")
    if arguments[0] in TOOLS:
        _of_tool(arguments[0], flags)
    else:
        _of_data_set(get_dataset(arguments[0]), flags)


def _of_data_set(spec, flags):
    from deeplab_tf.datasets.prepare.runner import PREPARERS, prepare

    of_tool = [name for name in OF_TOOL if flags[name].present]
    if of_tool:
        raise UserError(f"--{of_tool[0]}: {spec.name} has its own classes and order; leave it out.")
    converted = spec.name in PREPARERS
    if converted:
        require(flags, "out")
    prepare(spec.name, flags.source, flags.out or "", flags.workers)
    if flags.records:
        quiet_logs()
        from deeplab_tf.datasets.tfds.builders import write_records

        print(f"records: {write_records(spec.name, flags.out if converted else flags.source[0], flags.records)}")


def _of_tool(tool, flags):
    from deeplab_tf.datasets.prepare.annotations import prepare_annotations

    if flags.records:
        raise UserError("--records: not for your own pictures, which are read from their folder; leave it out.")
    outcome = prepare_annotations(
        tool, flags.source, require(flags, "out"), unlabelled=require(flags, "unlabelled"), overlaps=flags.overlaps,
        labels=flags.labels, workers=flags.workers,
    )  # fmt: skip
    print(f"{outcome.summary()}; painted with --overlaps={flags.overlaps}")
    print(f"train with --dataset=folder --data_dir={flags.out}")
    for path, reason in outcome.left_out:
        print(f"{path}: {reason}", file=sys.stderr)
    if count := len(outcome.left_out):
        raise UserError(f"{count:,} files, pictures or kinds of shapes were left out, the rest is done; see the reasons above.")


def cli() -> None:
    run(main, define, positional=True)


if __name__ == "__main__":
    cli()
