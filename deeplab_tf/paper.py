"""The paper's Tables 1-4 in miniature: `python -m deeplab_tf.paper`.

Trains what is missing of the experiments in experiments/miniature, several seeds each, on rendered scenes, into
RUNS/NAME/seed-N; rows that are the same training share it. A stopped run goes on with the same command. Then writes
summary.json, tables.md and paper.html into --out: mean IoU over seeds beside the paper's, and for every ordering that the paper
claims: holds, does not hold, or undecided at 95 %. An --out apart from --runs also gets every row's counts, from which
`--runs=OUT --notrain` judges again without the networks.
--quick trains four telling rows with one seed. --into=FILE trains nothing: it puts the tables of --out's summary.json between
the two marks of a Markdown file, --check tells whether they are there.
"""

import os

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import run
from deeplab_tf.experiment.paper_claims import TABLES, runs_of
from deeplab_tf.experiment.paper_tables import put_into
from deeplab_tf.experiment.paper_text import MARKS, text_of
from deeplab_tf.whole_files import check_writable


def define(flags):
    absl_flags.DEFINE_string("runs", "runs/miniature", "folder of the runs", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder of the findings; default: that of the runs", flag_values=flags)
    absl_flags.DEFINE_string("experiments", "experiments/miniature", "folder of the flags files", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", "data", "folder of the rendered sets, each in one of its own", flag_values=flags)
    absl_flags.DEFINE_integer("seeds", None, "seeds of every row (default: 3, with --quick 1)", 1, flag_values=flags)
    absl_flags.DEFINE_list("only", [], f"tables to train, of {', '.join(TABLES)}; default: all", flag_values=flags)
    absl_flags.DEFINE_bool("quick", False, "train four telling rows only", flag_values=flags)
    absl_flags.DEFINE_integer(
        "side_by_side", None, "trainings at a time, one thread each (default: a core each, at most 4)", 1, flag_values=flags
    )
    absl_flags.DEFINE_bool("train", True, "train what is missing; --notrain: judge what is there", flag_values=flags)
    absl_flags.DEFINE_string("into", None, "Markdown file to put the tables of --out into", flag_values=flags)
    absl_flags.DEFINE_bool("check", False, "with --into: only tell whether the file is up to date", flag_values=flags)


def main(flags, arguments):
    unknown = [name for name in flags.only if name not in TABLES]
    if unknown:
        raise UserError(f"--only: got {unknown[0]!r}, expected some of {', '.join(TABLES)}, separated by commas.")
    out = flags.out or flags.runs
    from deeplab_tf.experiment.paper_report import PAGE, keep_counts, read_findings, write_findings

    if flags.into:
        _put_into(flags, text_of(read_findings(out)))
        return
    check_writable(out, "--out" if flags.out else "--runs")
    from deeplab_tf.experiment.paper_findings import findings
    from deeplab_tf.experiment.paper_runs import done_rows, run_missing, trainings

    names, seeds = runs_of(flags.only, flags.quick), flags.seeds or (1 if flags.quick else 3)
    if flags.train:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wanted = trainings(names, seeds, flags.runs, flags.experiments, flags.data_dir)
        run_missing(wanted, flags.side_by_side or min(cores, 4))
    rows = done_rows(seeds, flags.runs, flags.experiments, flags.data_dir)
    found = findings(rows)
    write_findings(out, found, "python -m deeplab_tf.paper")
    if os.path.abspath(out) != os.path.abspath(flags.runs):
        keep_counts(out, rows)
    for one in found["claims"]:
        print(f"{one['verdict']:>27}: {one['claim']}")
    print(os.path.join(out, PAGE))


def _put_into(flags, text):
    if not put_into(flags.into, text, flags.check, MARKS) and flags.check:
        raise UserError(
            f"{flags.into}: its tables are stale; write them with python -m deeplab_tf.paper --out={flags.out} "
            f"--into={flags.into}."
        )


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
