"""The paper's Tables 1-4, 6, 7 and 9 with our figures beside its own: `python -m deeplab_tf.tables`.

Reads RUNS/NAME/eval/val/result.json, NAME as the experiment's file is called, and experiments/results/NAME.json; what was not
run stays blank. Prints Markdown; --into=README.md puts it between the two marks of a file, --check tells whether it is there.
"""

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import run
from deeplab_tf.experiment.paper_tables import put_into, read_results, tables


def define(flags):
    absl_flags.DEFINE_string("runs", "runs", "folder of the runs", flag_values=flags)
    absl_flags.DEFINE_string("results", "experiments/results", "folder of kept results, NAME.json", flag_values=flags)
    absl_flags.DEFINE_string("into", None, "Markdown file to put the tables into", flag_values=flags)
    absl_flags.DEFINE_bool("check", False, "with --into: only tell whether the file is up to date", flag_values=flags)


def main(flags, arguments):
    text = tables(read_results(flags.runs, flags.results))
    if not flags.into:
        print(text, end="")
    elif not put_into(flags.into, text, flags.check) and flags.check:
        raise UserError(f"{flags.into}: its tables are stale; write them with python -m deeplab_tf.tables --into={flags.into}.")


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
