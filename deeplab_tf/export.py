"""A trained network as a file that needs none of this package: `python -m deeplab_tf.export --workdir=DIR --out=PATH`.

--weights=FILE --model=NAME --dataset=NAME (or --labels=labels.txt) in place of --workdir takes a weights file. --format says
what is written: saved_model (a folder for TensorFlow, TensorFlow Serving, Beam), onnx (NAME.onnx), litert (NAME.tflite) or
openvino (a folder). It takes uint8 pictures of any size and holds preprocessing, scales, mirror image, up-sampling and argmax,
class names, colours, settings and the CRF's parameters; it is loaded again by the program that runs it and compared with
`segment` before it appears under its name.

--precision: float32, bfloat16 (saved_model, openvino), float16 (weights alone; litert, openvino), dynamic (8-bit weights;
litert), int8 (onnx, litert, openvino; --calibration names some tens of real pictures). What it costs in mean IoU is told where
the eval split has masks (--max_images of them, else 100).
"""

import pathlib
import sys

from absl import flags as absl_flags

from deeplab_tf.experiment.flags import config_of_trained, crf_as_evaluated, define_trained, quiet_logs, require, run
from deeplab_tf.experiment.settings import CRF_STAGE
from deeplab_tf.serving.formats import FORMATS, PRECISIONS, check_format


def define(flags):
    define_trained(flags, ("eval_scales", "fusion", "flip", "tile", "data_dir", "eval_split", "max_images", *CRF_STAGE))
    flags["precision"].help = f"what it computes in ({', '.join(PRECISIONS)}); a SavedModel by default as trained"
    absl_flags.DEFINE_string("format", "saved_model", f"one of {', '.join(FORMATS)}", flag_values=flags)
    absl_flags.DEFINE_list("calibration", [], "int8: files, folders, patterns, lists of pictures", flag_values=flags)
    absl_flags.DEFINE_string("out", None, "folder or file that is written", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace what is there", flag_values=flags)


def main(flags, arguments):
    precision, out = _take_precision(flags), require(flags, "out")
    check_format(flags.format, precision, bool(flags.calibration), pathlib.Path(out))
    config = crf_as_evaluated(flags, config_of_trained(flags))
    quiet_logs()
    from deeplab_tf.experiment.exporting import export

    exported = export(
        config, flags.workdir, out, format=flags.format, precision=precision, calibration=flags.calibration,
        overwrite=flags.overwrite,
    )  # fmt: skip
    found = ", ".join(f"{name} {value:.2g}" for name, value in exported.differences.items())
    kind = "SavedModel" if flags.format == "saved_model" else flags.format
    print(f"{kind}: {out} (loaded again; largest differences: {found})")
    if exported.judged:
        before, after = exported.judged.mean_iou
        print(
            f"mean IoU of {exported.judged.images:,} pictures of {config.data.eval_split}: {100 * before:.2f} %, {precision} "
            f"{100 * after:.2f} % ({100 * (after - before):+.2f} points)"
        )
    elif precision not in (None, "float32") and flags.format != "saved_model":
        print(f"What {precision} costs in mean IoU is not known: --eval_split has no masks here.", file=sys.stderr)


def _take_precision(flags) -> str | None:
    """What the artefact shall compute in, if said; the network is built in float32 or mixed_bfloat16, all a config knows."""
    if not flags["precision"].given:  # a flags file says how a run was trained
        return None
    precision = flags.precision.removeprefix("mixed_")
    flags.precision = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    return precision


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
