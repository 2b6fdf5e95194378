"""Searches the CRF's parameters for a run: `python -m deeplab_tf.crf_search --workdir=DIR`.

Takes 100 pictures of the split that the run is evaluated on, and makes the score maps that `eval --save_scores` did not keep.
DIR/crf_search (or --out) receives preset.json (for `eval --crf_preset=FILE`), settings.csv, heat_map.png and search.jsonl,
from which a stopped search goes on. Every third value of the paper's grid is tried first, then the neighbours of the best
three until none is new, beyond the grid's edge too, then half steps. Where nothing helps it says so and writes no preset.
--scores_dir=DIR --out=OUT --dataset=NAME --data_dir=DIR searches over score maps without a run.
"""

import os
import sys

from absl import flags as absl_flags

from deeplab_tf.crf.params import NORMALIZATIONS, CrfParams
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, require, run
from deeplab_tf.experiment.search_data import check_results, of_run, of_scores


def define(flags):
    absl_flags.DEFINE_string("workdir", None, "folder of the run", flag_values=flags)
    absl_flags.DEFINE_string("scores_dir", None, "folder of score maps, ID.npz, in place of a run", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder for the results (default: WORKDIR/crf_search)", flag_values=flags)
    absl_flags.DEFINE_string("dataset", "voc2012", "data set of --scores_dir", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "where the data set lies", flag_values=flags)
    absl_flags.DEFINE_string("split", None, "split to take pictures from (default: the run's, else val)", flag_values=flags)
    absl_flags.DEFINE_integer("pictures", 100, "how many pictures, drawn with a fixed seed", lower_bound=1, flag_values=flags)
    absl_flags.DEFINE_float("w2", 3, "weight of the position kernel", flag_values=flags)
    absl_flags.DEFINE_float("sigma_gamma", 3, "width of the position kernel, pixels (fixed)", flag_values=flags)
    absl_flags.DEFINE_integer("iterations", 10, "mean field iterations", flag_values=flags)
    absl_flags.DEFINE_enum("normalization", "symmetric", NORMALIZATIONS, "of the kernels", flag_values=flags)
    absl_flags.DEFINE_bool("exhaustive", False, "try every setting of the grid on every picture", flag_values=flags)
    absl_flags.DEFINE_bool("finer", True, "follow with half steps round the best", flag_values=flags)
    absl_flags.DEFINE_integer("threads", 2, "pictures' lattices in work at once", lower_bound=1, flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace results that are there", flag_values=flags)


def main(flags, arguments):
    try:
        find_preset(flags)
    except KeyboardInterrupt:  # lattices in work would hold up the end of the process for seconds; the log has what was found
        print("\nstopped by Ctrl-C; the same command goes on from here", file=sys.stderr, flush=True)
        os._exit(130)


def find_preset(flags):
    given = {name: getattr(flags, name) for name in ("w2", "sigma_gamma", "iterations", "normalization")}
    try:
        base = CrfParams(**given)
    except ValueError as error:
        raise UserError(str(error)) from error
    if flags.workdir and flags.scores_dir:
        raise UserError(f"--scores_dir={flags.scores_dir}: given beside --workdir, whose scores are taken; leave one out.")
    folder = None if flags.workdir else require(flags, "scores_dir")
    out = flags.out or f"{flags.workdir}/crf_search" if flags.workdir else require(flags, "out")
    check_results(out, flags.overwrite)
    if flags.workdir:
        data = of_run(flags.workdir, flags.data_dir, flags.split)
    else:
        data = of_scores(flags.dataset, require(flags, "data_dir"), flags.split or "val", folder)
    quiet_logs()  # loads TensorFlow: only when all is well
    from deeplab_tf.experiment import searching

    samples = searching.drawn(data.samples, flags.pictures)
    scores = searching.make_scores(data.config, flags.workdir, samples, out) if flags.workdir else searching.in_folder(folder)
    outcome = searching.search_parameters(
        data.spec, samples, scores, out, base, exhaustive=flags.exhaustive, finer=flags.finer, threads=flags.threads
    )
    print(outcome.sentence())


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
