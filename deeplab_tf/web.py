"""A page to drop pictures on: `python -m deeplab_tf.web [--workdir=DIR | --saved_model=DIR | --weights=FILE --model=NAME …]`.

Shows labels, areas, score maps and the CRF's iterations, while its parameters are moved; index, palette, overlay and preset
are there to download. Without a network it shows rendered scenes with made scores: nothing is trained. It answers this
machine alone unless --host says otherwise. Needs gradio (pip install 'deeplab_tf[web]').
"""

from __future__ import annotations

import sys

from absl import flags as absl_flags

from deeplab_tf.experiment.crf_choice import crf_params_of, with_crf_inside
from deeplab_tf.experiment.flags import (
    config_from_flags,
    config_of_network,
    crf_as_evaluated,
    define_network,
    given_crf,
    quiet_logs,
    run,
)
from deeplab_tf.experiment.settings import CRF_STAGE


def define(flags):
    define_network(flags, ("eval_scales", "fusion", "flip", "memory_limit", *CRF_STAGE))
    absl_flags.DEFINE_string("host", "127.0.0.1", "address to answer at; 0.0.0.0: everybody in the network", flag_values=flags)
    absl_flags.DEFINE_integer("port", 7860, "port to answer at; 0: any that is free", 0, 65535, flag_values=flags)
    absl_flags.DEFINE_float("max_megabytes", 20, "larger files are refused", 0, flag_values=flags)
    absl_flags.DEFINE_float("max_megapixels", 4, "larger pictures are refused", 0, flag_values=flags)
    absl_flags.DEFINE_integer("max_frames", 300, "longer videos are refused", 1, flag_values=flags)
    absl_flags.DEFINE_integer("queue", 16, "requests that may wait; more are refused", 1, flag_values=flags)
    absl_flags.DEFINE_float("kept_gib", 1, "GiB of network answers that are kept for sliders", 0, flag_values=flags)


def main(flags, arguments):
    named = flags.workdir or flags.weights or flags.saved_model
    config = config_of_network(flags) if named else config_from_flags(flags)
    config = crf_as_evaluated(flags, config)
    quiet_logs()
    from deeplab_tf.experiment.segmenters import load_segmenter
    from deeplab_tf.serving.web.limits import Limits
    from deeplab_tf.serving.web.page import serve

    limits = Limits(flags.max_megabytes, flags.max_megapixels, flags.max_frames, flags.queue, flags.kept_gib)
    networks = [load_segmenter(config, flags.workdir, flags.saved_model)] if named else []
    if flags.saved_model:
        config, why = with_crf_inside(config, networks[0].about, given_crf(flags))
        print(why, file=sys.stderr)
    serve(networks, crf_params_of(config), config.eval.crf, limits=limits, host=flags.host, port=flags.port)


def cli() -> None:
    run(main, define)


if __name__ == "__main__":
    cli()
