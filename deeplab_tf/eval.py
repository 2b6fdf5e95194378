"""Evaluates a trained run: `python -m deeplab_tf.eval --workdir=DIR`.

Writes DIR/eval/SPLIT/result.json and report.html: mean IoU, IoU of every class and pixel accuracy before and after the
dense CRF. Any setting of the run may be given as a flag to change it for this evaluation (--nocrf, --flip, --data_dir=…).
"""

from absl import flags as absl_flags

from deeplab_tf.experiment.flags import config_from_flags, define_config, quiet_logs, require, run
from deeplab_tf.experiment.run_folder import check_split, load_config
from deeplab_tf.whole_files import check_writable


def define(flags):
    define_config(flags)
    absl_flags.DEFINE_string("workdir", None, "folder of the run", flag_values=flags)
    absl_flags.DEFINE_bool("save_scores", False, "keep the probabilities for --cached_scores", flag_values=flags)
    absl_flags.DEFINE_bool("cached_scores", False, "run the CRF over saved scores, without the network", flag_values=flags)


def main(flags, arguments):
    workdir = require(flags, "workdir")
    config = config_from_flags(flags, base=load_config(workdir))
    check_writable(workdir, "--workdir")
    check_split(config, config.data.eval_split)
    quiet_logs()
    from deeplab_tf.experiment.evaluator import evaluate_run

    result = evaluate_run(config, workdir, save_scores=flags.save_scores, cached_scores=flags.cached_scores)
    for name, rates in (("before the CRF", result), ("after the CRF", result["crf"])):
        if rates:
            print(f"{name}: mean IoU {rates['mean_iou']:.4f}, pixel accuracy {rates['pixel_accuracy']:.4f}")
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    print(f"{result['images']} pictures: {workdir}/eval/{config.data.eval_split}/report.html")


if __name__ == "__main__":
    run(main, define)
