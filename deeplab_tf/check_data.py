"""Looks for what would spoil a training, before it starts.

    python -m deeplab_tf.check_data --dataset=NAME --data_dir=DIR [--splits=train,val] [--page=FILE.html] [--fix=NEWDIR]

Prints one line "FILE: finding" each on stdout; progress, the number of findings and the class frequencies on stderr. Exit
code 0: clean; 2: findings (or wrong flags).
"""

import pathlib
import sys

from absl import flags as absl_flags

from deeplab_tf.datasets.samples import find_samples
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, run
from deeplab_tf.whole_files import check_writable


def define(flags):
    absl_flags.DEFINE_string("dataset", None, "name of the data set", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "its folder", flag_values=flags)
    absl_flags.DEFINE_list("splits", ["train", "val"], "splits to check, compared with each other", flag_values=flags)
    absl_flags.DEFINE_string("page", None, "HTML page to write, with overlays to look at", flag_values=flags)
    absl_flags.DEFINE_string("fix", None, "new folder for a repaired copy", flag_values=flags)


def main(flags, arguments):
    for name in ("dataset", "data_dir"):
        if not flags[name].value:
            raise UserError(f"--{name}: not given, see --help.")
    spec = get_dataset(flags.dataset, flags.data_dir)
    for split in flags.splits:
        find_samples(spec, flags.data_dir, split)  # a wrong folder or list is answered before TensorFlow is loaded
    if flags.page:
        if pathlib.Path(flags.page).is_dir():
            raise UserError(f"--page={flags.page}: is a folder, expected the name of the page to write, such as page.html.")
        check_writable(pathlib.Path(flags.page).parent)
    quiet_logs()
    from deeplab_tf.datasets import check_page, checks, repair

    if flags.fix:
        repair.check_target(flags.data_dir, flags.fix)
    report = checks.check_data(spec, flags.data_dir, flags.splits)
    for finding in report.findings:
        print(finding)
    print(report.summary(), file=sys.stderr)
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
