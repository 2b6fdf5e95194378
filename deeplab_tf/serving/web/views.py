"""What the page shows of an answer: pieces of HTML with the pictures inside, so that no file is left behind."""

from __future__ import annotations

import base64
import dataclasses
import pathlib
from collections.abc import Mapping

import cv2
import numpy as np

from deeplab_tf.crf.params import CrfParams, preset_text
from deeplab_tf.inference.label_files import LabelFiles, Prediction, shares
from deeplab_tf.pages.pictures import label_map, photograph
from deeplab_tf.pages.rendering import render
from deeplab_tf.serving.segmenter import Segmenter

_SIDE = 360  # pixels of small pictures
_STEPS = (0, 1, 2, 5, 10)  # iterations that are shown, as in Fig. 5
_PEAK = 0.02  # classes that nowhere reach this probability have no map
_KINDS = {"labels": "image/png", "palette": "image/png", "overlay": "image/jpeg"}
_HEAT = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]


def painted(image: np.ndarray, labels: np.ndarray, colors: np.ndarray, strength: float) -> np.ndarray:
    """The label map over its picture, uint8 [height, width, 3]; `strength` 0 shows the picture alone, 1 the colours."""
    return cv2.addWeighted(image, 1 - strength, colors[labels], strength, 0)


def legend(network: Segmenter, before: np.ndarray, after: np.ndarray | None) -> str:
    """The table of classes that are there, with their areas before and after the CRF (None: there is none)."""
    areas = shares(before if after is None else after, network.class_names)
    earlier = shares(before, network.class_names)
    rows = [
        {"name": name, "color": color, "area": areas[name], "before": None if after is None else earlier[name]}
        for name, color in zip(network.class_names, network.palette, strict=True)
        if areas[name] or earlier[name]
    ]
    return render("web_legend.html", rows=sorted(rows, key=lambda row: -row["area"]), refined=after is not None)


def score_maps(network: Segmenter, probs: np.ndarray) -> str:
    """A map of every class that is probable anywhere, most probable first."""
    peaks, means = probs.max(axis=(0, 1)), probs.mean(axis=(0, 1))
    shown = [index for index in np.argsort(-means, kind="stable") if peaks[index] >= _PEAK]
    maps = [(f"{network.class_names[index]}, up to {100 * peaks[index]:.0f} %", _heat(probs[..., index])) for index in shown]
    return render("web_strip.html", figures=maps, note="Dark is 0, yellow is 1.")


def steps_of(params: CrfParams) -> list[int]:
    """The iterations that are shown: 0, 1, 2, 5, 10 and the last."""
    return [*(step for step in _STEPS if step < params.iterations), params.iterations]


def iterations(image: np.ndarray, maps: Mapping[int, np.ndarray], colors: np.ndarray, strength: float) -> str:
    """The label maps after so many iterations."""
    figures = []
    for step, labels in maps.items():
        picture = painted(image, labels, colors, strength)
        figures.append((f"after {step} iteration{'s' * (step != 1)}", photograph(picture, _SIDE)))
    return render("web_strip.html", figures=figures, note="")


def downloads(network: Segmenter, name: str, image: np.ndarray, labels: np.ndarray, params: CrfParams) -> str:
    """Links that hold the files themselves, called as `predict` calls them."""
    files = LabelFiles(network.class_names, network.palette, write=tuple(_KINDS))
    contents = files.contents(Prediction(image, labels))
    names = [path.name for path in files.paths(pathlib.Path(), name)]
    links = [_Link(*parts) for parts in zip(("index", "palette", "overlay"), names, _KINDS.values(), contents, strict=True)]
    preset = _Link("CRF preset", "crf_preset.json", "application/json", preset_text(params).encode())
    return render("web_downloads.html", links=[*links, preset])


def sentence(text: str) -> str:
    return render("web_sentence.html", text=text)


@dataclasses.dataclass(frozen=True)
class _Link:
    title: str
    file: str
    kind: str
    content: bytes

    @property
    def address(self) -> str:
        return f"data:{self.kind};base64,{base64.b64encode(self.content).decode()}"


def _heat(probs: np.ndarray) -> str:
    return label_map(np.rint(255 * probs).astype(np.uint8), _HEAT, _SIDE)
