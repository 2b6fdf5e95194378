"""Compares two evaluations of one set: `python -m deeplab_tf.compare A B`, "is +0.3 real?".

A and B are folders with what `eval` wrote (WORKDIR/eval/SPLIT or its --out). Prints the difference of the mean IoU and of
every class, each with the interval of a paired bootstrap over the pictures, or over the sequences that they were cut from.
--page=FILE writes a page; with --data_dir=DIR it shows the pictures that changed most, of evaluations with --save_scores.
"""

import os

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, run


def define(flags):
    absl_flags.DEFINE_string("page", None, "HTML file to write", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "where the data set lies, for the page's pictures", flag_values=flags)
    absl_flags.DEFINE_integer("gallery", 24, "pictures in the page", lower_bound=0, flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace the page", flag_values=flags)


def main(flags, arguments):
    if len(arguments) != 2:
        raise UserError(f"got {len(arguments)} folders, expected two with results of eval: python -m deeplab_tf.compare A B.")
    if flags.page and os.path.exists(flags.page) and not flags.overwrite:
        raise UserError(f"--page={flags.page}: is there already; name another file or give --overwrite.")
    quiet_logs()
    from deeplab_tf.experiment.comparing import compare_results

    found = compare_results(*arguments, flags.page, data_dir=flags.data_dir, gallery=flags.gallery)
    width = max(map(len, found.class_names))
    print(f"{'':{width}}       A       B   B - A  95 %")
    for name, a, b, ends in zip(found.class_names, *found.ious, found.class_intervals, strict=True):
        between = f"{100 * ends[0]:+.2f} to {100 * ends[1]:+.2f}" if ends else "–"
        print(f"{name:{width}} {100 * a:7.2f} {100 * b:7.2f} {100 * (b - a):+7.2f}  {between}")
    print(f"mean IoU {found.stage} the CRF: {100 * found.means[0]:.2f} % and {100 * found.means[1]:.2f} %: {found.verdict()}")
    if flags.page:
        print(flags.page)


def cli() -> None:
    run(main, define, positional=True)


if __name__ == "__main__":
    cli()
