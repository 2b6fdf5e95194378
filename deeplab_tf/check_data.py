"""Looks for what would spoil a training, before it starts.

    python -m deeplab_tf.check_data --dataset=NAME --data_dir=DIR [--splits=train,val] [--page=FILE.html]
        [--fix=NEWDIR [--mapping=1:0,2:1,200:void]]

Prints one line "FILE: finding" each on stdout; progress, the number of findings and the class frequencies on stderr. --fix
writes a repaired copy; values that the label table does not hold become void there, or what --mapping says (what they may be
meant as is printed). Exit code 0: clean; 2: findings (or wrong flags).
"""

import pathlib
import sys

from absl import flags as absl_flags

from deeplab_tf.datasets.samples import present_splits
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, run
from deeplab_tf.whole_files import check_writable


def define(flags):
    absl_flags.DEFINE_string("dataset", None, "name of the data set", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "its folder", flag_values=flags)
    absl_flags.DEFINE_list(
        "splits",
        None,
        "splits to check, compared with each other (default: train and val, as far as they are there)",
        flag_values=flags,
    )
    absl_flags.DEFINE_string("page", None, "HTML page to write, with overlays to look at", flag_values=flags)
    absl_flags.DEFINE_string("fix", None, "new folder for a repaired copy", flag_values=flags)
    absl_flags.DEFINE_list(
        "mapping", None, "for --fix: VALUE:ID pairs, what values in masks are meant as; ID may be void", flag_values=flags
    )


def main(flags, arguments):
    for name in ("dataset", "data_dir"):
        if not flags[name].value:
            raise UserError(f"--{name}: not given, see --help.")
    spec = get_dataset(flags.dataset, flags.data_dir)
    # A wrong folder or list is answered before TensorFlow is loaded.
    splits, missing = present_splits(spec, flags.data_dir, flags.splits or ("train", "val"))
    for split, reason in missing.items():
        if flags.splits or not splits:
            raise UserError(reason)
        print(f"split {split!r} is not there, only {splits[0]!r} is checked: {reason}", file=sys.stderr)
    if flags.mapping and not flags.fix:
        raise UserError("--mapping: is for the repaired copy, expected --fix=NEWDIR beside it.")
    if flags.page:
        if pathlib.Path(flags.page).is_dir():
            raise UserError(f"--page={flags.page}: is a folder, expected the name of the page to write, such as page.html.")
        check_writable(pathlib.Path(flags.page).parent)
    quiet_logs()
    from deeplab_tf.datasets import checks, mapping, repair
    from deeplab_tf.pages import check_page

    if flags.fix:
        repair.check_target(flags.data_dir, flags.fix)
    meant = mapping.parse_mapping(spec, flags.mapping or ())
    report = checks.check_data(spec, flags.data_dir, splits)
    for finding in report.findings:
        print(finding)
    print(report.summary(), file=sys.stderr)
    for text in (report.frequencies().table(), *report.notes()):
        print(text, file=sys.stderr)
    if flags.page:
        check_page.write_page(report, flags.page)
    if flags.fix:
        repaired = repair.write_repaired(report, flags.data_dir, flags.fix, meant)
        for finding in repaired.left_out:
            print(f"--fix: {finding}", file=sys.stderr)
        print(f"--fix: {repaired}", file=sys.stderr)
    if report.findings:
        raise SystemExit(2)


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
