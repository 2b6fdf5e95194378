"""What an exported network says of itself: the JSON inside every artefact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import deeplab_tf
from deeplab_tf.inference.predictor import Predictor
from deeplab_tf.inference.tiles import Tiles


def about(
    predictor: Predictor,
    *,
    format: str,
    precision: str,
    class_names: Sequence[str] | None,
    palette: Sequence[tuple[int, int, int]] | None,
    metadata: Mapping[str, object] | None,
    tiles: Tiles | None = None,
) -> str:
    """The JSON text.

    Raises:
      ValueError: the number of names or colours is not the number of classes.
    """
    for name, values in (("class_names", class_names), ("palette", palette)):
        if values is not None and len(values) != predictor.num_classes:
            raise ValueError(f"{name} has {len(values)} entries, expected {predictor.num_classes}, one a class")
    says = {
        "model": predictor.network.name,
        "format": format,
        "precision": precision,
        "num_classes": predictor.num_classes,
        "class_names": None if class_names is None else list(class_names),
        "palette": None if palette is None else [[int(level) for level in color] for color in palette],
        "scales": list(predictor.scales),
        "fusion": predictor.fusion,
        "flip": predictor.flip,
        "tile": None if tiles is None else {"size": list(tiles.size), "overlap": list(tiles.overlap)},
        "output_stride": _logit_stride(predictor),
        "padding": f"bottom and right, mean pixel, to {predictor.multiple}n+1",
        "written_by": f"deeplab_tf {deeplab_tf.__version__}",
    }
    return json.dumps(says | {"metadata": dict(metadata or {})}, indent=1) + "\n"


def _logit_stride(predictor: Predictor) -> float:
    """Picture pixels per row of the logits: several scales are fused at the size of scale 1, a single one keeps its own."""
    stride = float(predictor.output_stride)
    if len(predictor.scales) == 1:
        stride /= predictor.scales[0]
    return int(stride) if stride == int(stride) else stride
