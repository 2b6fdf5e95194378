"""TensorBoard events of a run: losses, rates, weights, pictures with their predictions, the confusion matrix."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import tensorflow as tf

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.layers.resize import resize_align_corners

_PICTURES = 2  # of a batch


def open_board(folder: pathlib.Path, palette) -> Board | None:
    """The board whose events lie in `folder`; None where the package tensorboard is not installed."""
    return Board(folder, palette) if importlib.util.find_spec("tensorboard") else None


class Board:
    """Writes what TensorBoard shows.

    Args:
      folder: of the event files.
      palette: RGB by class id.
    """

    def __init__(self, folder: pathlib.Path, palette):
        self.colors = color_table(palette)
        self._writer = tf.summary.create_file_writer(str(folder))

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()

    def scalars(self, step: int, line: dict) -> None:
        """Losses apart, rate and speed, from a line of the log."""
        with self._writer.as_default(step):
            for i, loss in enumerate(line["losses"]):
                tf.summary.scalar(f"losses/{i}", loss)
            for name in ("loss", "decay_loss", "learning_rate", "images_per_second", "input_wait"):
                tf.summary.scalar(name, line[name])

    def evaluation(self, step: int, line: dict, matrix: np.ndarray) -> None:
        """Mean IoU and every class', and the confusion matrix: rows are true classes, each adding up to white."""
        rows = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        scale = max(1, 256 // len(rows))
        with self._writer.as_default(step):
            tf.summary.scalar("eval/mean_iou", line["mean_iou"])
            tf.summary.scalar("eval/pixel_accuracy", line["pixel_accuracy"])
            for name, iou in line["per_class_iou"].items():
                if iou is not None:
                    tf.summary.scalar(f"eval_classes/{name}", iou)
            tf.summary.image("eval/confusion", np.kron(rows, np.ones((scale, scale)))[None, :, :, None])

    def weights(self, step: int, model) -> None:
        """The norm of every variable that is trained."""
        with self._writer.as_default(step):
            for variable in model.trainable_variables:
                name = "/".join(variable.path.split("/")[-2:])
                tf.summary.scalar(f"norms/{name}", np.linalg.norm(variable.numpy()))

    def pictures(self, step: int, model, batch: dict) -> None:
        """The first pictures of a batch, each beside its label and the network's prediction."""
        images, labels = batch["image"][:_PICTURES], batch["label"][:_PICTURES].numpy()
        logits = resize_align_corners(model(images, training=False), images.shape[1:3])
        predicted = np.argmax(logits, axis=-1)
        strips = [np.clip(images.numpy(), 0, 255).astype(np.uint8), self.colors[labels], self.colors[predicted]]
        with self._writer.as_default(step):
            tf.summary.image("pictures", np.concatenate(strips, axis=2))
