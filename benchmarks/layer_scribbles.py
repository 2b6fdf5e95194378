"""The `scribbles` part of the benchmark `layer`: a network from 3 % of the labels, without and with the CRF loss."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import tempfile

import cv2
import keras
import numpy as np
import tensorflow as tf
import tqdm

from deeplab_tf.datasets import pipeline, sources
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.scribbles import scribbles
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.evaluation.counting import confusion_of
from deeplab_tf.layers.resize import resize_align_corners
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.crf_loss import dense_crf_loss
from deeplab_tf.training.losses import segmentation_loss
from deeplab_tf.training.schedules import Poly

FRACTION = 0.03
SCALE = 0.5  # of the scenes, in training and in judging: a quarter of the time
CROP, BATCH = 65, 8
NETWORK = {"width": 0.25, "head_rates": (2,), "atrous_method": "auto"}
SIGMA_ALPHA = 20.0  # a fifth of the sides of what the network sees, as 100 is of VOC's
RATE = 1e-3  # of Adam: from random weights it learns in fewer steps than the published solver


def run(data_dir: str, seeds: tuple[int, ...], steps: int, loss_weight: float, held_out: int) -> dict:
    """mIoU in % on the held-out scenes of every seed: {"masks", "scribbles", "scribbles and CRF loss": [...]}."""
    spec = get_dataset("miniature")
    whole = list_samples(spec, data_dir, "train")
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_scribbles_") as folder:
        for seed in seeds:
            weak = [_scribbled(sample, spec, (seed, number), pathlib.Path(folder)) for number, sample in enumerate(whole)]
            arms = {"masks": Training(spec, whole, seed, steps), "scribbles": Training(spec, weak, seed, steps)}
            for arm in arms.values():
                arm.go_on(steps // 4, 0.0)  # until it knows the classes, whose edges the CRF loss then finds
            arms["scribbles and CRF loss"] = arms["scribbles"].copy()
            for name, arm in arms.items():
                arm.go_on(steps, loss_weight if name.endswith("loss") else 0.0)
                examples = sources.evaluation(spec, data_dir, "val", limit=held_out)
                found = confusion_of(MultiScale(arm.model, (SCALE,)), spec, examples)
                figures.setdefault(name, []).append(100 * found.mean_iou())
            print(f"seed {seed}:", ", ".join(f"{name} {values[-1]:.2f} %" for name, values in figures.items()), flush=True)
    full, without, with_loss = (statistics.mean(values) for values in figures.values())
    print(
        f"mIoU on {held_out} held-out scenes, mean of {len(seeds)} seeds: masks {full:.2f} %, scribbles {without:.2f} % "
        f"({without / full:.3f} of that), with the CRF loss {with_loss:.2f} % ({with_loss / full:.3f})"
    )
    return figures


def _scribbled(sample, spec, seed, folder):
    """The sample with a mask of scribbles."""
    path = str(folder / f"{seed[0]}_{seed[1]:04d}.png")
    cv2.imwrite(path, scribbles(np.asarray(read_label(sample.label, spec)), FRACTION, seed, spec.ignore_label))
    return dataclasses.replace(sample, label=path)


class Training:
    """A network on its way: `steps` of Adam, in as many parts as one likes."""

    def __init__(self, spec, samples, seed: int, steps: int):
        self._made_of = (spec, samples, seed, steps)
        source = pipeline.files(spec, samples)
        self._batches = lambda start: pipeline.batches_of(
            source, crop_size=CROP, batch_size=BATCH, scales=(SCALE,), seed=seed, start_step=start
        )
        self.model = build_model("vgg16_largefov", spec.num_classes, seed=seed, **NETWORK)
        self.optimizer = keras.optimizers.Adam(Poly(RATE, steps))
        self.optimizer.build(self.model.trainable_variables)
        self.done = 0

    def copy(self) -> Training:
        """Another that stands where this one does."""
        other = Training(*self._made_of)
        for one, values in ((other.model, self.model.variables), (other.optimizer, self.optimizer.variables)):
            for variable, value in zip(one.variables, values, strict=True):
                variable.assign(value)
        other.done = self.done
        return other

    def go_on(self, until: int, loss_weight: float) -> None:
        """Trains up to step `until`, the CRF loss counting `loss_weight` times."""
        step = self._step(loss_weight)
        batches = self._batches(self.done).take(until - self.done)
        for batch in tqdm.tqdm(batches, desc=f"loss weight {loss_weight}", unit="step", total=until - self.done, leave=False):
            step(batch["image"], batch["label"])
        self.done = until

    def _step(self, loss_weight):
        variables = self.model.trainable_variables

        @tf.function
        def step(images, labels):
            with tf.GradientTape() as tape:
                logits = self.model(images, training=True)
                whole = resize_align_corners(logits, (CROP, CROP))  # strokes are finer than a stride
                loss = segmentation_loss(labels, whole)
                if loss_weight:
                    loss += loss_weight * dense_crf_loss(logits, images, sigma_alpha=SIGMA_ALPHA, stride=1)
            self.optimizer.apply(tape.gradient(loss, variables), variables)

        return step
