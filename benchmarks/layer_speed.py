"""The `speed` part of the benchmark `layer`: the layer there and back, against DenseCRF."""

from __future__ import annotations

import tensorflow as tf

from benchmarks.crf_pictures import Synthetic
from benchmarks.measuring import in_turn, median_ratio
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.models.mean_field_crf import ITERATIONS, MeanFieldCRF
from deeplab_tf.training.crf_loss import dense_crf_loss

SIDE, CLASSES = 321, 21


def run(rounds: int) -> dict:
    """How much longer than DenseCRF the layer takes forward, and forward and backward; the same of the loss."""
    image, probs = Synthetic()("0", SIDE, SIDE, CLASSES)
    params = CrfParams(iterations=ITERATIONS)
    crf, layer, logits, turns = DenseCRF(params), MeanFieldCRF(params), tf.math.log(probs)[None], iter(range(10**9))

    def picture():
        """Another one in every call: filters are kept for a picture that comes again."""
        return (image ^ (next(turns) % 2))[None]

    def gradient_of(function):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = tf.reduce_sum(function())
        return tape.gradient(total, logits).numpy()

    seconds = in_turn(
        {
            "DenseCRF": lambda: crf(picture()[0], probs),
            "layer forward": lambda: layer(picture(), logits).numpy(),
            "layer forward and backward": lambda: gradient_of(lambda: layer(picture(), logits)),
            "loss forward and backward": lambda: gradient_of(lambda: dense_crf_loss(logits, picture())),
        },
        rounds,
    )
    figures = {name: median_ratio(taken, seconds["DenseCRF"]) for name, taken in seconds.items() if name != "DenseCRF"}
    print(
        f"{SIDE}x{SIDE}x{CLASSES}, {ITERATIONS} iterations, times the time of DenseCRF:",
        ", ".join(f"{name} {ratio:.2f}" for name, ratio in figures.items()),
    )
    return figures
