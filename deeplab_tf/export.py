"""A SavedModel of a trained network: `python -m deeplab_tf.export --workdir=DIR --out=FOLDER`.

--weights=FILE --model=NAME --dataset=NAME (or --labels=labels.txt) in place of --workdir takes a weights file. The SavedModel
takes uint8 pictures of any size and holds preprocessing, up-sampling and argmax; it is loaded again and compared with `segment`
before it appears under its name.
"""

from absl import flags as absl_flags

from deeplab_tf.experiment.flags import config_of_trained, define_trained, quiet_logs, require, run


def define(flags):
    define_trained(flags, ("flip",))
    absl_flags.DEFINE_string("out", None, "folder of the SavedModel", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace a SavedModel that is there", flag_values=flags)


def main(flags, arguments):
    config, out = config_of_trained(flags), require(flags, "out")
    quiet_logs()
    from deeplab_tf.experiment.exporting import export

    differences = export(config, flags.workdir, out, overwrite=flags.overwrite)
    found = ", ".join(f"{name} {value:.2g}" for name, value in differences.items())
    print(f"SavedModel: {out} (loaded again; largest differences: {found})")


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
