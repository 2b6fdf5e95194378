"""The `weights` part of the benchmark `layer`: a trained CRF against a searched one."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tqdm

from deeplab_tf.crf import search as crf_search
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.scores import load_scores, save_scores
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.experiment.network import load_run
from deeplab_tf.experiment.run_folder import data_dir_of, load_config
from deeplab_tf.inference.segment import segment
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.models.mean_field_crf import ITERATIONS, MeanFieldCRF

START = 0.1  # of w1 and w2: far from the 4 and 3 that are published
RATE = 0.05


def run(workdir: str, pictures: int, held_out: int, epochs: int) -> dict:
    """mIoU in % on the held-out pictures without a CRF, with the searched and with the trained one."""
    trained_run = load_run(workdir, load_config(workdir))
    spec, data_dir = trained_run.spec, data_dir_of(trained_run.config)
    reading = {
        "read_image": lambda path: np.asarray(read_image(path)),
        "read_label": lambda path: np.asarray(read_label(path, spec)),
    }
    with tempfile.TemporaryDirectory(prefix="deeplab_tf_layer_") as folder:
        known, unknown = (
            _scored(trained_run.model, list_samples(spec, data_dir, split)[:count], pathlib.Path(folder))
            for split, count in (("train", pictures), ("val", held_out))
        )
        found = crf_search.search(known, num_classes=spec.num_classes, log_file=f"{folder}/log.jsonl", **reading)
        examples, judged = (
            [(reading["read_image"](one.image), load_scores(one.score), reading["read_label"](one.label)) for one in split]
            for split in (known, unknown)
        )
    layer = MeanFieldCRF(dataclasses.replace(found.params, w1=START, w2=START, iterations=ITERATIONS))
    losses = _train(layer, examples, epochs)
    trained = layer.dense_crf(found.params.iterations)
    crfs = {
        "no CRF": None,
        "bad start": DenseCRF(dataclasses.replace(found.params, w1=START, w2=START)),
        "searched": DenseCRF(found.params),
        "trained": trained,
    }
    figures = {name: 100 * _mean_iou(judged, crf, spec.num_classes) for name, crf in crfs.items()}
    print(
        ", ".join(f"{name} {value:.2f} %" for name, value in figures.items()),
        f"mIoU on {len(judged)} held-out pictures; the searched {found.params}; trained from {START} in {epochs} epochs, "
        f"loss {losses[0]:.4f} -> {losses[-1]:.4f}: w1 {trained.params.w1:.2f}, w2 {trained.params.w2:.2f}, compatibility",
    )
    print(np.array2string(trained.compatibility, precision=2, suppress_small=True))
    return figures | {
        "params": dataclasses.asdict(found.params),
        "w1": trained.params.w1,
        "w2": trained.params.w2,
        "compatibility": trained.compatibility.tolist(),
        "losses": losses,
    }


def _scored(model, samples, folder) -> list[crf_search.Picture]:
    """The samples with their score files, written now."""
    for sample in tqdm.tqdm(samples, desc="scores", unit="picture"):
        save_scores(folder / f"{sample.id.replace('/', '_')}.npz", segment(model, np.asarray(read_image(sample.image))))
    return [
        crf_search.Picture(one.id, str(folder / f"{one.id.replace('/', '_')}.npz"), one.image, one.label) for one in samples
    ]


def _train(layer, examples, epochs) -> list[float]:
    """Mean loss of every epoch; one picture a step, in a new order every epoch."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, epochs * len(examples)))
    losses = []
    for epoch in tqdm.trange(epochs, desc="training the layer", unit="epoch"):
        losses.append(0.0)
        for place in np.random.default_rng(epoch).permutation(len(examples)):
            image, probs, label = examples[place]
            with tf.GradientTape() as tape:
                loss = soft_iou_loss(label, layer(image[None], np.log(probs)[None])[0])
            optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
            losses[-1] += float(loss) / len(examples)
    return losses


def soft_iou_loss(label, logits) -> tf.Tensor:
    """One minus the mean IoU with probabilities in place of labels (Rahman and Wang, ISVC 2016, section 3).

    It aims at what the search looks for. Cross entropy stops short of that: it punishes a CRF that is sure of itself where it
    is wrong, and finds smaller weights.

    Args:
      label: true ids, integer [height, width]; those from K on are void.
      logits: float32 [height, width, K].
    """
    true = tf.one_hot(tf.cast(label, tf.int32), logits.shape[-1])
    probs = tf.nn.softmax(logits) * tf.reduce_sum(true, axis=-1, keepdims=True)
    both, either = (tf.reduce_sum(area, axis=[0, 1]) for area in (true * probs, true + probs - true * probs))
    there = tf.reduce_any(true > 0, axis=[0, 1])
    return 1 - tf.reduce_mean(tf.boolean_mask(both / either, there))


def _mean_iou(examples, crf, classes) -> float:
    counts = ConfusionMatrix(classes)
    for image, probs, label in examples:
        counts.update(label, (crf(image, probs) if crf else probs).argmax(axis=-1))
    return counts.mean_iou()
