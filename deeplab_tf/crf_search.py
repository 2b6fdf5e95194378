"""Searches the CRF's parameters on cached scores: `python -m deeplab_tf.crf_search --scores_dir=DIR ... --out=OUT`.

DIR holds what `eval --save_scores` wrote, one ID.npz per picture. OUT receives preset.json (for `eval
--crf_preset=OUT/preset.json`), settings.csv, heat_map.png and search.jsonl, from which a stopped search goes on. Every third
value of the paper's grid is tried first, then the neighbours of the best three until none is new, then half steps.
"""

import pathlib
import random

from absl import flags as absl_flags

from deeplab_tf.crf.params import NORMALIZATIONS, CrfParams, save_preset
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, require, run
from deeplab_tf.whole_files import check_writable, make_folder

RESULTS = ("preset.json", "settings.csv", "heat_map.png")


def define(flags):
    absl_flags.DEFINE_string("scores_dir", None, "folder of score maps, ID.npz", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder for the results", flag_values=flags)
    absl_flags.DEFINE_string("dataset", "voc2012", "data set of the pictures", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "where the data set lies", flag_values=flags)
    absl_flags.DEFINE_string("split", "val", "split to take pictures from", flag_values=flags)
    absl_flags.DEFINE_integer("pictures", 100, "how many pictures, drawn with a fixed seed", lower_bound=1,
                              flag_values=flags)
    absl_flags.DEFINE_float("w2", 3, "weight of the position kernel (fixed)", flag_values=flags)
    absl_flags.DEFINE_float("sigma_gamma", 3, "width of the position kernel, pixels (fixed)", flag_values=flags)
    absl_flags.DEFINE_integer("iterations", 10, "mean field iterations", flag_values=flags)
    absl_flags.DEFINE_enum("normalization", "symmetric", NORMALIZATIONS, "of the kernels", flag_values=flags)
    absl_flags.DEFINE_bool("exhaustive", False, "try every setting on every picture", flag_values=flags)
    absl_flags.DEFINE_bool("finer", True, "follow with half steps round the best", flag_values=flags)
    absl_flags.DEFINE_integer("threads", 2, "pictures' lattices in work at once", lower_bound=1, flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace results that are there", flag_values=flags)


def main(flags, arguments):
    scores, out = pathlib.Path(require(flags, "scores_dir")), pathlib.Path(require(flags, "out"))
    spec, data_dir = get_dataset(flags.dataset, flags.data_dir), require(flags, "data_dir")
    try:
        base = CrfParams(w2=flags.w2, sigma_gamma=flags.sigma_gamma, iterations=flags.iterations,
                         normalization=flags.normalization)
    except ValueError as error:
        raise UserError(str(error)) from error
    check_writable(out)
    present = [name for name in RESULTS if (out / name).exists()]
    if present and not flags.overwrite:
        raise UserError(f"--out={out}: got {', '.join(present)} there already; name another folder or --overwrite.")
    from deeplab_tf.crf import search, search_log
    from deeplab_tf.datasets.samples import list_samples

    pictures = [search.Picture(one.id, str(scores / f"{one.id}.npz"), one.image, one.label)
                for one in list_samples(spec, data_dir, flags.split)
                if one.label and (scores / f"{one.id}.npz").exists()]
    if not pictures:
        raise UserError(f"--scores_dir={scores}: got no score map of a picture of {flags.dataset} {flags.split}, "
                        "expected ID.npz as eval --save_scores writes them.")
    make_folder(out)
    quiet_logs()
    from deeplab_tf.datasets.masks import read_label  # these load TensorFlow: only when all is well
    from deeplab_tf.datasets.pictures import read_image

    random.Random(0).shuffle(pictures)
    result = search.search(pictures[:flags.pictures], num_classes=spec.num_classes, ignore_label=spec.ignore_label,
                           read_image=read_image, read_label=lambda path: read_label(path, spec), base=base,
                           log_file=out / "search.jsonl", exhaustive=flags.exhaustive, finer=flags.finer,
                           threads=flags.threads)
    search_log.write_table(out / "settings.csv", result.rows)
    search_log.write_heat_map(out / "heat_map.png", result.rows)
    save_preset(out / "preset.json", result.params)
    print(f"best: {result.params}, mIoU {100 * result.before:.2f} % before, {100 * result.rows[0].mean_iou:.2f} % after "
          f"the CRF, {min(len(pictures), flags.pictures)} pictures, {result.seconds:.0f} s: {out / 'preset.json'}")


if __name__ == "__main__":
    run(main, define)
