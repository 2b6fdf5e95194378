"""A SavedModel of a trained run: `python -m deeplab_tf.export --workdir=DIR --out=FOLDER`.

The SavedModel takes uint8 pictures of any size and holds preprocessing, up-sampling and argmax; it is loaded again and
compared with `segment` before it appears under its name.
"""

from absl import flags as absl_flags

from deeplab_tf.experiment.flags import config_from_flags, define_config, quiet_logs, require, run
from deeplab_tf.experiment.run_folder import load_config


def define(flags):
    define_config(flags)
    absl_flags.DEFINE_string("workdir", None, "folder of the run", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder of the SavedModel", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace a SavedModel that is there", flag_values=flags)


def main(flags, arguments):
    workdir, out = require(flags, "workdir"), require(flags, "out")
    config = config_from_flags(flags, base=load_config(workdir))
    quiet_logs()
    from deeplab_tf.experiment.network import load_run
    from deeplab_tf.serving.saved_model import check_target, export_saved_model

    check_target(out, flags.overwrite)
    trained = load_run(workdir, config)
    differences = export_saved_model(
        trained.model, out, flip=config.eval.flip, class_names=trained.spec.class_names, palette=trained.spec.palette,
        metadata={"checkpoint": trained.checkpoint.name, "model": config.model.model}, overwrite=flags.overwrite,
    )  # fmt: skip
    found = ", ".join(f"{name} {value:.2g}" for name, value in differences.items())
    print(f"SavedModel: {out} (loaded again; largest differences: {found})")


if __name__ == "__main__":
    run(main, define)
