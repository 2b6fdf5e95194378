"""Converts a weights file of any origin and prints where every variable went.

    python -m deeplab_tf.convert IN OUT [--model=NAME --num_classes=K] [--overwrite]

IN: .caffemodel, Keras Applications .h5, .npz, PyTorch .pth, TF-1 checkpoint, .weights.h5, or the name of a weights record
(--list shows them). OUT: .npz or .weights.h5. With --model the weights are loaded into that network first, which holds
them to its whole backbone, sub-samples ImageNet's fc6 and fc7 and grows ResNet-50 into ResNet-101.
"""

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import quiet_logs, run


def define(flags: absl_flags.FlagValues) -> None:
    """The door's flags."""
    absl_flags.DEFINE_string("model", None, "network of the zoo to load the weights into", flag_values=flags)
    absl_flags.DEFINE_integer("num_classes", 21, "classes of that network, background included", 1, flag_values=flags)
    absl_flags.DEFINE_integer("seed", 0, "draws the fresh head and the 1,024 of 4,096 filters", flag_values=flags)
    absl_flags.DEFINE_bool("overwrite", False, "replace OUT where it exists", flag_values=flags)
    absl_flags.DEFINE_bool("list", False, "print the known weights records and end", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Converts `arguments[0]` to `arguments[1]`."""
    if flags.list:
        _print_records()
        return
    if len(arguments) != 2:
        raise UserError(f"convert: got {len(arguments)} arguments, expected two, IN and OUT; --help shows the command line")
    source, target = arguments
    from deeplab_tf.models.zoo import get_preset
    from deeplab_tf.weights.converting import check_target, convert_weights
    from deeplab_tf.weights.reading import check_source, needs_tensorflow

    check_target(target, flags.model is not None, flags.overwrite)
    check_source(source)
    model = None
    if flags.model is not None:
        get_preset(flags.model)
    if flags.model is not None or needs_tensorflow(source):
        quiet_logs()
    if flags.model is not None:
        from deeplab_tf.models.deeplab import build_model

        model = build_model(flags.model, flags.num_classes, seed=flags.seed)
    report = convert_weights(source, target, model=model, overwrite=flags.overwrite, seed=flags.seed)
    print(report.table())
    print(f"wrote {target}")


def _print_records() -> None:
    from deeplab_tf.weights.records import RECORDS

    for record in RECORDS.values():
        print(f"{record.name}: {record.file}; {record.network}; input {record.preprocessing}; {'; '.join(record.warnings())}")


def cli() -> None:
    run(main, define, positional=True)


if __name__ == "__main__":
    cli()
