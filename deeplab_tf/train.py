"""Trains an experiment: `python -m deeplab_tf.train --flagfile=experiments/NAME.flags --workdir=DIR`.

Writes DIR/config.json, flags.txt, checkpoints/ and train.jsonl. The same command again goes on from the newest
checkpoint. Ctrl-C or SIGTERM saves a checkpoint and ends with exit code 130.
"""

from absl import flags as absl_flags

from deeplab_tf.experiment.flags import config_from_flags, define_config, quiet_logs, require, run
from deeplab_tf.experiment.run_folder import check_split
from deeplab_tf.whole_files import check_writable


def define(flags):
    define_config(flags)
    absl_flags.DEFINE_string("workdir", None, "folder of the run", flag_values=flags)


def main(flags, arguments):
    config = config_from_flags(flags)
    workdir = require(flags, "workdir")
    check_writable(workdir, "--workdir")
    check_split(config, config.data.train_split)
    quiet_logs()
    from deeplab_tf.experiment.trainer import train

    summary = train(config, workdir)
    if summary["interrupted"]:
        print(
            f"interrupted after step {summary['step']} of {config.solver.steps}, saved {summary['checkpoint']}; the same "
            "command goes on from there"
        )
        raise SystemExit(130)  # so that `train && eval` does not go on
    loss = "" if summary["loss"] is None else f", loss {summary['loss']:.4f}"
    print(f"trained {config.model.model} for {summary['step']} steps{loss}: {summary['checkpoint']}")


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
