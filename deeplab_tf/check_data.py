"""Looks for what would spoil a training, before it starts.

    python -m deeplab_tf.check_data --dataset=NAME --data_dir=DIR [--splits=train,val] [--page=FILE.html] [--fix=NEWDIR]

Prints one line "FILE: finding" each on stdout and the class frequencies on stderr. Exit code 0: clean; 2: findings (or
wrong flags).
"""

import sys

from absl import flags as absl_flags

from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.flags import run


def define(flags):
    absl_flags.DEFINE_string("dataset", None, "name of the data set", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "its folder", flag_values=flags)
    absl_flags.DEFINE_list("splits", ["train", "val"], "splits to check, compared with each other", flag_values=flags)
    absl_flags.DEFINE_string("page", None, "HTML page to write, with overlays to look at", flag_values=flags)
    absl_flags.DEFINE_string("fix", None, "new folder for a repaired copy", flag_values=flags)


def main(flags, arguments):
    if arguments:
        raise UserError(f"got {arguments[0]!r}, expected flags only; --help lists them.")
    for name in ("dataset", "data_dir"):
        if not flags[name].value:
            raise UserError(f"--{name}: not given, see --help.")
    spec = get_dataset(flags.dataset, flags.data_dir)
    from deeplab_tf.datasets import check_page, checks, repair

    report = checks.check_data(spec, flags.data_dir, flags.splits)
    for finding in report.findings:
        print(finding)
    print(report.frequencies().table(), file=sys.stderr)
    if flags.page:
        check_page.write_page(report, flags.page)
    if flags.fix:
        for finding in repair.write_repaired(report, flags.data_dir, flags.fix):
            print(f"--fix: {finding}", file=sys.stderr)
    if report.findings:
        raise SystemExit(2)


if __name__ == "__main__":
    run(main, define)
