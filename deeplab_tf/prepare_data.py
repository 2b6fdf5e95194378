"""Turns a data set as its owners publish it into id masks and lists.

    python -m deeplab_tf.prepare_data NAME --source=DIR[,DIR…] --out=DIR [--records=DIR]

NAME is a data set: voc2012, pascal_context, pascal_person_part, coco_voc or coco; the others are read as published and only
counted. --records also writes it as TFDS shards. A stopped run goes on where it was; the counts are printed beside the
published ones. data/README.md says where to get each data set and how it lies on disk.
"""

from absl import flags as absl_flags

from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, run


def define(flags):
    absl_flags.DEFINE_list("source", [], "folders with what the owners publish, comma separated", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder to write: masks/ID.png and SPLIT.txt", flag_values=flags)
    absl_flags.DEFINE_string("records", None, "folder for TFDS shards of the data set as well", flag_values=flags)
    absl_flags.DEFINE_integer("workers", None, "processes (default: one a processor)", 1, flag_values=flags)


def main(flags, arguments):
    if len(arguments) != 1:
        raise UserError(f"NAME: got {arguments}, expected the name of one data set, such as voc2012.")
    from deeplab_tf.datasets.prepare.runner import PREPARERS, prepare

    spec = get_dataset(arguments[0])
    converted = spec.name in PREPARERS
    if not flags.source:
        raise UserError(f"--source: not given, expected the folder with {spec.name} as it is published.")
    if converted and not flags.out:
        raise UserError("--out: not given, expected the folder to write.")
    prepare(spec.name, flags.source, flags.out or "", flags.workers)
    if flags.records:
        quiet_logs()
        from deeplab_tf.datasets.tfds.builders import write_records

        print(f"records: {write_records(spec.name, flags.out if converted else flags.source[0], flags.records)}")


if __name__ == "__main__":
    run(main, define, positional=True)
