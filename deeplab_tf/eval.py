"""Evaluates a trained network: `python -m deeplab_tf.eval --workdir=DIR`.

Writes DIR/eval/SPLIT/result.json and report.html, or into the folder that --out names: mean IoU, IoU of every class and pixel
accuracy before and after the dense CRF. Any setting of the run may be given as a flag to change it for this evaluation
(--nocrf, --flip, --data_dir=…). --weights=FILE --model=NAME --dataset=NAME (or --labels=labels.txt) --out=DIR in place of
--workdir evaluates a weights file.
"""

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import config_of_trained, define_trained, quiet_logs, run
from deeplab_tf.experiment.results import result_folder
from deeplab_tf.experiment.run_folder import check_split
from deeplab_tf.experiment.settings import CRF_STAGE

USES = (
    "data_dir", "eval_split", "ignore_classes", "flip", "tile", "max_images", "gallery", "trimap", "memory_limit", *CRF_STAGE,
)


def define(flags):
    define_trained(flags, USES)
    absl_flags.DEFINE_bool("save_scores", False, "keep the probabilities for --cached_scores", flag_values=flags)
    absl_flags.DEFINE_bool("cached_scores", False, "run the CRF over saved scores, without the network", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder for the results in place of WORKDIR/eval/SPLIT", flag_values=flags)
    absl_flags.DEFINE_bool("match_names", False, "where the data's labels are not in the run's order: match them by name",
                           flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace results that are there", flag_values=flags)


def main(flags, arguments):
    config = config_of_trained(flags)
    if not flags.workdir and (not flags.out or flags.cached_scores):
        raise UserError("--out is not set, expected a folder for the results of --weights; give --out=… (--cached_scores: "
                        "--workdir).")
    folder = result_folder(config, flags.workdir, flags.out, flags.overwrite)
    check_split(config, config.data.eval_split)
    quiet_logs()
    from deeplab_tf.experiment.evaluator import evaluate_run

    result = evaluate_run(
        config, flags.workdir, out=flags.out, save_scores=flags.save_scores, cached_scores=flags.cached_scores,
        match_names=flags.match_names, overwrite=flags.overwrite,
    )  # fmt: skip
    for name, rates in (("before the CRF", result), ("after the CRF", result["crf"])):
        if rates:
            print(f"{name}: mean IoU {rate(rates['mean_iou'])}, pixel accuracy {rate(rates['pixel_accuracy'])}")
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    print(f"{result['images']} pictures: {folder / 'report.html'}")


def rate(value):
    return "none" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    run(main, define)
