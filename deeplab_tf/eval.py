"""Evaluates a trained network: `python -m deeplab_tf.eval --workdir=DIR`.

Writes DIR/eval/SPLIT/result.json and report.html, or into the folder that --out names: mean IoU, IoU of every class and pixel
accuracy before and after the dense CRF. Any setting of the run may be given as a flag to change it for this evaluation
(--nocrf, --flip, --data_dir=…). --shard=i/n evaluates a part, on any machine; --merge adds the parts to the same figures.
--weights=FILE --model=NAME --dataset=NAME (or --labels=labels.txt) --out=DIR in place of --workdir evaluates a weights file.
"""

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import config_of_trained, define_trained, quiet_logs, run
from deeplab_tf.experiment.results import result_folder
from deeplab_tf.experiment.run_folder import check_split
from deeplab_tf.experiment.settings import CRF_STAGE

USES = (
    "data_dir", "eval_split", "ignore_classes", "eval_scales", "fusion", "flip", "tile", "max_images", "gallery", "trimap",
    "memory_limit", *CRF_STAGE,
)  # fmt: skip


def define(flags):
    define_trained(flags, USES)
    absl_flags.DEFINE_bool("save_scores", False, "keep the probabilities for --cached_scores", flag_values=flags)
    absl_flags.DEFINE_bool("cached_scores", False, "run the CRF over saved scores of this network", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder for the results in place of WORKDIR/eval/SPLIT", flag_values=flags)
    absl_flags.DEFINE_bool(
        "match_names", False, "where the data's labels are not in the run's order: match them by name", flag_values=flags
    )
    absl_flags.DEFINE_string("shard", None, "i/n: every n-th picture from the i-th on, for --merge", flag_values=flags)
    absl_flags.DEFINE_bool("merge", False, "make the results of all shards", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace results that are there", flag_values=flags)


def main(flags, arguments):
    config = config_of_trained(flags)
    if not flags.workdir and (not flags.out or flags.cached_scores):
        raise UserError(
            "--out is not set, expected a folder for the results of --weights; give --out=… (--cached_scores: --workdir)."
        )
    folder = result_folder(config, flags.workdir, flags.out, flags.overwrite)
    check_split(config, config.data.eval_split)
    quiet_logs()
    from deeplab_tf.experiment.evaluator import evaluate

    result = evaluate(
        config, flags.workdir, out=flags.out, save_scores=flags.save_scores, cached_scores=flags.cached_scores,
        match_names=flags.match_names, shard=shard_of(flags.shard), merge=flags.merge, overwrite=flags.overwrite,
    )  # fmt: skip
    drawn = result["bootstrap"]
    for name, rates in (("before the CRF", result), ("after the CRF", result["crf"])):
        if rates:
            ends = rates["intervals"]["mean_iou"]
            between = f" (95 %: {ends[0]:.4f} to {ends[1]:.4f}, over {drawn['units']} {drawn['over']})" if ends else ""
            print(f"{name}: mean IoU {rate(rates['mean_iou'])}, pixel accuracy {rate(rates['pixel_accuracy'])}{between}")
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    print(f"{result['images']} pictures: {folder / ('shards' if flags.shard else 'report.html')}")


def shard_of(text):
    """(2, 8) of "2/8"."""
    try:
        number, count = map(int, text.split("/")) if text else (1, 1)
    except ValueError:
        number, count = 0, 0
    if not 1 <= number <= count:
        raise UserError(f"--shard: got {text!r}, expected i/n with i from 1 to n, such as 1/4.")
    return (number, count) if text else None


def rate(value):
    return "none" if value is None else f"{value:.4f}"


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
