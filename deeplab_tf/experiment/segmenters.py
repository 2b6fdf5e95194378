"""The network that a door's flags name, a run, a weights file or an exported network, as one `Segmenter`."""

from __future__ import annotations

import functools
import os

from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.network import TrainedNetwork, load_trained
from deeplab_tf.inference.digest import network_digest, path_digest
from deeplab_tf.inference.saved_model import load_saved_model
from deeplab_tf.inference.segment import segment_batch
from deeplab_tf.serving.segmenter import Segmenter


def load_segmenter(
    config: ExperimentConfig, workdir: str | os.PathLike | None = None, saved_model: str | os.PathLike | None = None
) -> Segmenter:
    """The network, with its weights.

    Args:
      config: of the trained network (`flags.config_of_trained`); where there is an exported network it does not count.
      workdir: folder of the run, None for a weights file or an exported network.
      saved_model: exported network, a folder or a file, that takes the network's place.

    Raises:
      UserError: as loading the network does.
    """
    if saved_model:
        saved = load_saved_model(saved_model)
        origin = {"saved_model": path_digest(saved.path)}
        return Segmenter(
            saved.path.name, saved.class_names, saved.palette, saved.segment, segment_batch=saved.run, origin=origin,
            about=saved.about,
        )  # fmt: skip
    network = load_trained(config, workdir)
    name = f"{network.config.model.model}, {network.spec.name} ({network.source.name})"
    return Segmenter(
        name, network.spec.class_names, network.spec.palette, network.segment,
        segment_batch=functools.partial(segment_batch, network.judged, **network.how), ids=network.spec.ids,
        label=network.label, origin=_origin(network),
    )  # fmt: skip


def _origin(network: TrainedNetwork) -> dict:
    model, judged = network.config.model, network.config.eval
    return {
        "network": network_digest(network.model), "scales": list(judged.eval_scales or model.scales), "fusion": judged.fusion,
        "precision": model.precision, "flip": judged.flip, "tile": judged.tile,
    }  # fmt: skip
