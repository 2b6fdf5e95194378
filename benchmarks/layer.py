"""What the CRF inside a network learns: its own weights from a bad start, and a network from scribbles.

    python -m deeplab_tf.benchmark layer --run=runs/demo [--parts=weights,scribbles] [--seeds=0,1,2] [--json=FILE]

weights: on the scores of a trained run (that of `make demo`), w1, w2 and the compatibility of a `MeanFieldCRF` trained from
0.1, 0.1 and Potts by the softened IoU, against the parameters that the search finds on the same scores; mIoU on held-out
pictures.
scribbles: a narrow VGG-16 LargeFOV on the rendered scenes, trained on whole masks, on scribbles of 3 % of the pixels, and on
the same scribbles with the CRF loss from a quarter of the steps on; the three see the same crops in the same order.
speed: the layer on a picture of 321 pixels and 21 classes, there and back, against DenseCRF with as many iterations, in turn.
"""

from __future__ import annotations

import argparse
import json
import pathlib

PARTS = ("weights", "scribbles", "speed")


def main(argv: list[str]) -> None:
    """Runs the parts, prints their lines and writes the figures."""
    parser = argparse.ArgumentParser(prog="python -m deeplab_tf.benchmark layer")
    parser.add_argument("--parts", default=PARTS, type=lambda text: text.split(","))
    parser.add_argument("--run", default="runs/demo", help="weights: folder of a trained run")
    parser.add_argument("--pictures", type=int, default=40, help="weights: training pictures of the search and of the layer")
    parser.add_argument("--epochs", type=int, default=10, help="weights: of the layer")
    parser.add_argument("--data_dir", default="data/miniature", help="scribbles: where the scenes lie or are rendered to")
    parser.add_argument("--seeds", default=(0, 1, 2), type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--steps", type=int, default=4800, help="scribbles: of every training")
    parser.add_argument("--loss_weight", type=float, default=2.0, help="scribbles: of the CRF loss")
    parser.add_argument("--rounds", type=int, default=5, help="speed: how often")
    parser.add_argument("--held_out", type=int, default=100, help="weights, scribbles: pictures to judge on")
    parser.add_argument("--json", default="layer_benchmark.json")
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts: got {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    from benchmarks import layer_scribbles, layer_speed, layer_weights

    figures = {}
    if "weights" in options.parts:
        figures["weights"] = layer_weights.run(options.run, options.pictures, options.held_out, options.epochs)
    if "scribbles" in options.parts:
        figures["scribbles"] = layer_scribbles.run(
            options.data_dir, options.seeds, options.steps, options.loss_weight, options.held_out
        )
    if "speed" in options.parts:
        figures["speed"] = layer_speed.run(options.rounds)
    pathlib.Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
