"""Label maps of pictures: `python -m deeplab_tf.predict --workdir=DIR --out=FOLDER PICTURE_OR_FOLDER …`.

Writes FOLDER/NAME.png (class ids, in the data set's colours) and FOLDER/NAME_overlay.jpg for every picture, after the dense
CRF unless --nocrf is given. The ids are the network's, 0 to classes - 1; --label_ids writes the data set's own (of
Cityscapes the labelIds that its server wants).
"""

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import config_from_flags, define_config, quiet_logs, require, run
from deeplab_tf.experiment.run_folder import load_config


def define(flags):
    define_config(flags)
    absl_flags.DEFINE_string("workdir", None, "folder of the run", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder of the label maps", flag_values=flags)
    absl_flags.DEFINE_bool("label_ids", False, "write the data set's own ids, as its masks hold them", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace label maps that are there", flag_values=flags)


def main(flags, arguments):
    workdir, out = require(flags, "workdir"), require(flags, "out")
    config = config_from_flags(flags, base=load_config(workdir))
    if not arguments:
        raise UserError("No pictures were named, expected files or folders behind the flags.")
    quiet_logs()
    from deeplab_tf.crf.dense_crf import DenseCRF
    from deeplab_tf.experiment.network import crf_params_of, load_run
    from deeplab_tf.inference.label_files import find_pictures, predict_pictures

    pictures = find_pictures(arguments)
    trained = load_run(workdir, config)
    written = predict_pictures(
        trained.model, pictures, out, palette=trained.spec.palette, ids=trained.spec.ids if flags.label_ids else None,
        flip=config.eval.flip, tile=config.eval.tile,
        crf=DenseCRF(crf_params_of(config), threads=1) if config.eval.crf else None,
        crf_workers=config.eval.crf_workers, overwrite=flags.overwrite,
    )  # fmt: skip
    print(f"{len(written)} label maps with overlays: {out}")


if __name__ == "__main__":
    run(main, define, positional=True)
