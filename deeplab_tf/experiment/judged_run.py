"""A run and what its evaluation kept of a set: figures of single pictures, predictions, and the pictures themselves."""

from __future__ import annotations

import functools
import os
import pathlib

import numpy as np

from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.intervals import mean_over_classes
from deeplab_tf.evaluation.parts import PICTURES, load_part
from deeplab_tf.evaluation.picture_cache import label_cache, score_cache
from deeplab_tf.experiment.network import crf_of, load_run
from deeplab_tf.experiment.run_folder import data_dir_of, load_config, load_spec
from deeplab_tf.experiment.settings import CRF_STAGE

_HOW = (*CRF_STAGE, "eval_scales", "fusion", "flip", "tile")  # settings that an evaluation may have changed


def evaluated_folder(workdir: str | os.PathLike, split: str | None) -> pathlib.Path:
    """Where the results of a run's evaluation lie; `split` None: the run's own."""
    return pathlib.Path(workdir) / "eval" / (split or load_config(workdir).data.eval_split)


class JudgedRun:
    """A run whose evaluation is there.

    Args:
      workdir: folder of the run.
      split: the evaluated split, None: the run's own.
      data_dir: of its data, where that is not where the run says.

    Attributes:
      name: of the run in captions: its folder and its network.
      spec: the label table; `part`: the counts of the evaluation; `crf`: the DenseCRF it judged, None where it had none.

    Raises:
      UserError: no run, no evaluation of it, or one without a pixel that counts.
    """

    def __init__(self, workdir: str | os.PathLike, split: str | None = None, data_dir: str | None = None):
        folder = evaluated_folder(workdir, split)
        self._workdir, self._split = pathlib.Path(workdir), folder.name
        self.part, self.spec = load_part(folder / PICTURES), load_spec(workdir)
        if not self.part.stages["before"]["matrix"].any():
            raise UserError(f"{folder}: every pixel that was judged is void, so there is no figure to draw; look at the masks.")
        self._config = _as_evaluated(load_config(workdir), self.part.about["settings"], "after" in self.part.stages)
        if data_dir is not None:
            self._config = self._config.replace(data_dir=data_dir)
        self.name = f"{workdir} ({self._config.model.model})"
        self.crf = crf_of(self._config)
        self._scores, self._labels = score_cache(folder / "scores", None), label_cache(folder / "crf_labels", None)

    @property
    def stages(self) -> tuple[str, ...]:
        """ "before" and, where the CRF was judged, "after"."""
        return tuple(self.part.stages)

    def mean_iou(self, stage: str) -> float:
        """Of the set, 0..1."""
        return self.part.counts(stage, self.spec.ignore_label).mean_iou()

    def picture_iou(self, stage: str) -> np.ndarray:
        """float64 [pictures]: mean IoU of each picture alone, NaN where nothing counts."""
        return mean_over_classes(self.part.picture_iou(stage))

    def picture(self, place: int) -> tuple[str, np.ndarray, np.ndarray]:
        """(id, uint8 [height, width, 3], train ids [height, width]) of the picture at a place of the evaluation.

        Raises:
          UserError: it is not among the data any more, or cannot be read.
        """
        id = self.part.ids[place]
        if id not in self._samples:
            raise UserError(
                f"{data_dir_of(self._config)}: {id} is not in split {self._split} there, expected the data of "
                f"{self._workdir}; name its folder with --data_dir."
            )
        return id, read_image(self._samples[id].image), read_label(self._samples[id].label, self.spec)

    def probabilities(self, id: str, image: np.ndarray) -> np.ndarray:
        """float32 [height, width, K]: what the evaluation kept, else of the network."""
        kept = self._scores.get(id, image)
        return self._network.segment(image) if kept is None else kept

    def labels(self, stage: str, id: str, image: np.ndarray) -> np.ndarray:
        """Train ids [height, width] at a stage: what the evaluation kept, else predicted."""
        kept = self._labels.get(id, image) if stage == "after" else None
        if kept is not None:
            return kept
        probabilities = self.probabilities(id, image)
        return (self.crf(image, probabilities) if stage == "after" else probabilities).argmax(axis=-1)

    @functools.cached_property
    def _samples(self) -> dict:
        return {sample.id: sample for sample in list_samples(self.spec, data_dir_of(self._config), self._split)}

    @functools.cached_property
    def _network(self):
        return load_run(self._workdir, self._config)


def _as_evaluated(config, evaluated: dict, crf: bool):
    """The config of a run with the settings that its evaluation changed."""
    flat = config.flat()
    told = {name: evaluated[name] for name in _HOW if name in evaluated and name != "crf"}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return config.replace(crf=crf, **{name: value for name, value in values.items() if value != flat[name]})
