"""What the page's controls ask for, without the controls: pictures and numbers in, what is shown out."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.crf.picture_crf import PictureCrf
from deeplab_tf.datasets.colors import color_table
from deeplab_tf.errors import UserError
from deeplab_tf.inference.label_files import LabelFiles
from deeplab_tf.inference.video import label_video
from deeplab_tf.serving.segmenter import Segmenter
from deeplab_tf.serving.web import example, views
from deeplab_tf.serving.web.answers import Answers
from deeplab_tf.serving.web.limits import Limits, check_video, read_picture

VIEWS = ("before and after", "score maps", "iterations")
BEFORES = ("the picture", "before the CRF")


@dataclasses.dataclass(frozen=True)
class Shown:
    """Attributes:
    pair: two pictures under one slider, uint8 [height, width, 3]; None where `strip` takes their place.
    strip, legend, downloads, sentence: HTML.
    """

    pair: tuple[np.ndarray, np.ndarray] | None
    strip: str
    legend: str
    downloads: str
    sentence: str


class Desk:
    """Args:
    networks: by the name that a visitor chooses.
    limits: of what is taken in.
    """

    def __init__(self, networks: Sequence[Segmenter], limits: Limits):
        self.networks: Mapping[str, Segmenter] = {network.name: network for network in networks}
        self.limits = limits
        self._crf = DenseCRF()
        self._answers = Answers(self._crf, limits.memory * 2**30)

    def show(
        self, uploads: Sequence[str] | None, picture: str, network: str, refine: bool, params: CrfParams, view: str,
        before: str, strength: float,
    ) -> Shown:  # fmt: skip
        """The answer for one picture.

        Args:
          uploads: files that the page itself put in its folder.
          picture: name of one of them or of a scene.
          network, view, before: as the controls list them.
          refine: apply the CRF.
          params: of the CRF.
          strength: of the colours over the picture, 0..1.

        Raises:
          UserError: no such picture, or one that is refused.
        """
        chosen = self._network(network)
        answer = self.answer(uploads, picture, network)
        colors = color_table(chosen.palette)
        found = answer.labels
        maps: dict[int, np.ndarray] = {}  # by iteration
        if view == VIEWS[2]:
            steps = views.steps_of(params)
            maps = dict(zip(steps, answer.labels_after(params, steps), strict=True))
        after = answer(params) if refine and not maps else None
        refined = None if not refine else maps[params.iterations] if after is None else after.argmax(axis=-1)
        labels = found if refined is None else refined
        pair, strip = None, ""
        if view == VIEWS[1]:
            strip = views.score_maps(chosen, answer.probs if after is None else after)
        elif view == VIEWS[2]:
            strip = views.iterations(answer.image, maps, colors, strength)
        else:
            left = answer.image if before == BEFORES[0] else views.painted(answer.image, found, colors, strength)
            pair = left, views.painted(answer.image, labels, colors, strength)
        height, width = labels.shape
        changed = "" if refined is None else f"; the CRF changed {100 * np.mean(refined != found):.1f} % of the pixels"
        return Shown(
            pair, strip, views.legend(chosen, found, refined),
            views.downloads(chosen, pathlib.PurePath(picture).stem, answer.image, labels, params),
            views.sentence(f"{picture}, {width}x{height} pixels{changed}."),
        )  # fmt: skip

    def answer(self, uploads: Sequence[str] | None, picture: str, network: str) -> PictureCrf:
        """The picture with the network's probabilities, kept from the last time where it still is."""
        chosen = self._network(network)
        if picture in example.SCENES:
            return self._answers.of((network, picture), lambda: example.scene(picture), chosen.segment)
        path = next((path for path in uploads or () if pathlib.PurePath(path).name == picture), None)
        if path is None:
            raise UserError("No picture is chosen, expected one of the scenes or one that you dropped; drop it again.")
        return self._answers.of((network, path), lambda: read_picture(path, self.limits), chosen.segment)

    def video(self, path: str, network: str, refine: bool, params: CrfParams, folder: pathlib.Path) -> list[pathlib.Path]:
        """Overlay video and table of areas in `folder`, of a short video.

        Raises:
          UserError: no video, or one that is refused.
        """
        chosen = self._network(network)
        check_video(path, self.limits)
        files, name = LabelFiles(chosen.class_names, chosen.palette), pathlib.PurePath(path).stem
        crf = self._crf.with_params(params) if refine else lambda image, probs: probs
        try:
            label_video(chosen.segment, pathlib.Path(path), folder, name, files, crf=crf, crf_workers=1)
        except UserError as error:
            raise UserError(str(error).replace(str(path), pathlib.PurePath(path).name)) from error
        return [folder / f"{name}_overlay.mp4", folder / f"{name}_shares.csv"]

    def _network(self, name: str) -> Segmenter:
        if name not in self.networks:
            raise UserError(f"network: got {name!r}, expected one of {', '.join(self.networks)}.")
        return self.networks[name]
