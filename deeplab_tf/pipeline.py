"""Label files of any number of pictures by Apache Beam: `python -m deeplab_tf.pipeline --input=… --workdir=DIR --out=FOLDER`.

--input is a pattern ("pictures/*.jpg", "gs://bucket/**.jpg"), or a .txt, .tfrecord or .parquet of paths. In place of --workdir:
--weights=FILE --model=NAME --dataset=NAME, or --saved_model=DIR. FOLDER gets files named as predict names them, shares.csv
with the areas, and failed.csv with what could not be read and why; the same command again does what is missing, or has changed.

Beam's own options stand behind --: `… --runner=FlinkRunner -- --flink_master=HOST:8081`, or on this machine with two
processes `… --threads=1 -- --direct_num_workers=2 --direct_running_mode=multi_processing`.
"""

import logging

from absl import flags as absl_flags

from deeplab_tf.errors import some_failed
from deeplab_tf.experiment.flags import config_of_network, crf_as_evaluated, define_network, given_crf, quiet_logs, require, run
from deeplab_tf.experiment.settings import CRF_STAGE


def define(flags):
    define_network(flags, ("eval_scales", "fusion", "flip", "tile", "memory_limit", *CRF_STAGE))
    absl_flags.DEFINE_string("input", None, "pattern of pictures, or a .txt, .tfrecord or .parquet of paths", flag_values=flags)
    absl_flags.DEFINE_string("column", "uri", "column of the Parquet or feature of the Examples", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder of the results, a path or URI", flag_values=flags)
    absl_flags.DEFINE_list("write", ["palette", "overlay"], "what is written of every picture", flag_values=flags)
    absl_flags.DEFINE_string("runner", "DirectRunner", "Beam's runner", flag_values=flags)
    absl_flags.DEFINE_integer("threads", None, "of TensorFlow in a worker; default: all processors", 1, flag_values=flags)


def main(flags, arguments):
    source, out = require(flags, "input"), require(flags, "out")
    config = config_of_network(flags)
    config = crf_as_evaluated(flags, config)
    quiet_logs()
    for name in ("apache_beam", None):  # Beam warns in the root's name too
        logging.getLogger(name).setLevel(logging.ERROR)
    from deeplab_tf.experiment.labelling import label_pictures

    done = label_pictures(
        config, flags.workdir, source, out, saved_model=flags.saved_model, crf_given=given_crf(flags), column=flags.column,
        write=flags.write, threads=flags.threads, beam_options=[f"--runner={flags.runner}", *arguments],
    )  # fmt: skip
    print(f"{done.pictures:,} pictures have results: {out}")
    if done.failed:
        raise some_failed(len(done.failed), "labelled", f"the reasons stand in {out}/failed.csv")


def cli() -> None:
    run(main, define, positional=True)


if __name__ == "__main__":
    cli()
