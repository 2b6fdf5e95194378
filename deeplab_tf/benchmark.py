"""Measures a part of the package: `python -m deeplab_tf.benchmark NAME [flags]`, from the project's root.

models: networks of the zoo, forward and training step, also against torch. train: the whole trainer against the bare
step. crf: the engines of the dense CRF. data: the input pipeline. layer: what the CRF inside a network learns.
evaluation: network and CRF together, from picture files to label files. serving: a network in every format. peers: all of it
beside torch, OpenVINO, ONNX Runtime and pydensecrf, as the README's table.
`python -m deeplab_tf.benchmark NAME --help` lists the flags of one.
"""

import importlib
import sys

from deeplab_tf.errors import UserError

NAMES = ("models", "train", "crf", "data", "layer", "evaluation", "serving", "peers")


def main(argv):
    """Runs `benchmarks.<argv[0]>` with the rest of the arguments.

    Raises:
      UserError: no or an unknown name, or not started from the project's root.
    """
    if argv and argv[0] in ("-h", "--help"):
        print(__doc__.strip())
        return
    if not argv or argv[0] not in NAMES:
        got = argv[0] if argv else "no name"
        raise UserError(f"benchmark: got {got}, expected one of {', '.join(NAMES)}; --help tells more.")
    try:
        module = importlib.import_module(f"benchmarks.{argv[0]}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("benchmarks"):
            raise
        raise UserError(f"benchmark: no module {error.name} here, expected the project's root; change to it.") from None
    module.main(argv[1:])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
