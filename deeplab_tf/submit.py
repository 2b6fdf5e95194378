"""Packs label maps for a test server.

`python -m deeplab_tf.submit --dataset=NAME --data_dir=DATA --predictions=DIR --out=FILE.zip`

DIR holds what `predict` wrote of the split's pictures. VOC 2012: palette PNGs below results/; Cityscapes: labelIds;
PASCAL-Context and Person-Part: grey PNGs of class ids. A missing picture, another size or an unknown id is refused by name.
"""

import os

from absl import flags as absl_flags

from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import require, run
from deeplab_tf.whole_files import check_writable


def define(flags):
    absl_flags.DEFINE_string("dataset", None, "data set", flag_values=flags)
    absl_flags.DEFINE_string("data_dir", None, "folder of the data set, for the pictures' sizes", flag_values=flags)
    absl_flags.DEFINE_string("split", "test", "split that is submitted", flag_values=flags)
    absl_flags.DEFINE_string("predictions", None, "folder of the label maps", flag_values=flags)
    absl_flags.DEFINE_bool("label_ids", False, "they hold the data set's own ids (predict --label_ids)", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "zip to write", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace a zip that is there", flag_values=flags)


def main(flags, arguments):
    name, data_dir, predictions, out = (require(flags, flag) for flag in ("dataset", "data_dir", "predictions", "out"))
    if os.path.exists(out) and not flags.overwrite:
        raise UserError(f"--out={out}: is there already; name another file or give --overwrite.")
    check_writable(os.path.dirname(os.path.abspath(out)), "--out")
    from deeplab_tf.evaluation.submission import write_submission

    spec = get_dataset(name, data_dir)
    samples = list_samples(spec, data_dir, flags.split)
    print(f"{write_submission(spec, samples, predictions, out, label_ids=flags.label_ids):,} label maps: {out}")


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
