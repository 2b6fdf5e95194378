"""The paper's figures made again: `python -m deeplab_tf.figures --out=FOLDER`.

Writes FOLDER/figure_N.png and index.html, one page of them all. Figures 2, 3 and 4 need nothing; 5, 6, 8, 9, 10 and 14 are of
runs that were evaluated (`eval --save_scores --trimap=…`; what it did not keep is predicted anew): --largefov, --aspp_s,
--aspp_l and --resnet name their folders, as many as there are. The rule by which a picture was chosen stands in its caption.
"""

import pathlib

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, run
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.whole_files import check_writable

FIGURES = (2, 3, 4, 5, 6, 8, 9, 10, 14)
RUNS = {
    "largefov": "VGG-16 LargeFOV, for Figs. 8 and 9",
    "aspp_s": "VGG-16 ASPP-S, for Fig. 8",
    "aspp_l": "VGG-16 ASPP-L, for Fig. 8",
    "resnet": "a ResNet, for Fig. 9",
}


def define(flags):
    absl_flags.DEFINE_string("out", None, "folder for the figures and the page", flag_values=flags)
    for name, what in RUNS.items():
        absl_flags.DEFINE_string(name, None, f"folder of a run of {what}", flag_values=flags)
    absl_flags.DEFINE_string("only", None, f"figures to draw, comma separated, of {listed(FIGURES)}", flag_values=flags)
    absl_flags.DEFINE_string("eval_split", None, "the split that was evaluated, if not each run's own", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "where the data lie, if not where the runs say", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace the figures in the folder", flag_values=flags)


def main(flags, arguments):
    if not flags.out:
        raise UserError("--out is not set, expected a folder for the figures; give --out=FOLDER.")
    only = numbers_of(flags.only)
    runs = {name: flags[name].value for name in RUNS if flags[name].value}
    for folder in runs.values():
        load_config(folder)
    check_writable(flags.out, "--out")
    if (pathlib.Path(flags.out) / "index.html").exists() and not flags.overwrite:
        raise UserError(f"--out={flags.out}: got index.html there already; name another folder or give --overwrite.")
    quiet_logs()
    from deeplab_tf.experiment.illustrating import illustrate

    page, drawn, left_out = illustrate(flags.out, runs, only=only, split=flags.eval_split, data_dir=flags.data_dir)
    for number, needs in left_out.items():
        print(f"left out: figure {number} {needs}")
    print(f"figures {listed(drawn)}: {page}")


def numbers_of(text):
    """ "2,3" -> {2, 3}; None: all."""
    try:
        numbers = set(map(int, text.split(","))) if text is not None else set(FIGURES)
    except ValueError:
        numbers = set()
    if not numbers or numbers - set(FIGURES):
        raise UserError(f"--only: got {text!r}, expected figures of {listed(FIGURES)}, comma separated.")
    return numbers


def listed(numbers):
    return ", ".join(map(str, numbers))


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
