"""Pictures with probabilities for the CRF's benchmark: rendered ones, and real ones of a weak real network."""

import os
import pathlib

import numpy as np

from deeplab_tf.crf import search as crf_search
from deeplab_tf.crf.scores import save_scores

_WINDOW = 321  # pixels


class Synthetic:
    """Pictures of noisy blobs with probabilities that follow them in part."""

    ids = ("0", "1", "2")

    def __call__(self, identity, height=375, width=500, classes=21):
        import cv2

        rng = np.random.default_rng(int(identity))
        probs = softmax(cv2.resize(rng.normal(size=(height // 8, width // 8, classes)).astype(np.float32) * 3, (width, height)))
        light = cv2.resize(rng.normal(size=(height // 40 + 2, width // 40 + 2, 3)).astype(np.float32) * 40, (width, height))
        noise = rng.normal(scale=4, size=(height, width, 3))
        image = rng.integers(30, 226, (classes, 3))[probs.argmax(axis=-1)] + light + noise
        return np.clip(image, 0, 255).astype(np.uint8), probs


class Real:
    """VOC pictures and the probabilities of a weak real network: the mean over overlapping square windows, in which it sees
    objects at about the scale it was trained at (squeezed into one input, the val pictures have 40 % mIoU instead of 54 %)."""

    def __init__(self, data):
        from deeplab_tf.datasets.samples import list_samples
        from deeplab_tf.datasets.specs import get_dataset

        self.spec = get_dataset("voc2012")
        folder = str(pathlib.Path(data) / "data/VOCdevkit/VOC2012")
        self.samples = {split: list_samples(self.spec, folder, split) for split in ("train_aug", "val")}
        self.ids = tuple(sample.id for sample in self.samples["train_aug"])
        self._files = {sample.id: sample for split in self.samples.values() for sample in split}
        import tensorflow as tf

        self._network = tf.lite.Interpreter(str(pathlib.Path(data) / "weights/deeplabv3_257_mv_gpu.tflite"), num_threads=1)
        self._network.allocate_tensors()

    def __call__(self, identity):
        import cv2

        from deeplab_tf.datasets.pictures import read_image

        image = np.asarray(read_image(self._files[identity].image))
        height, width = image.shape[:2]
        side = min(_WINDOW, height, width)
        logits, seen = np.zeros((height, width, 21), np.float32), np.zeros((height, width, 1), np.float32)
        for top in sorted({0, (height - side) // 2, height - side}):
            for left in sorted({0, (width - side) // 2, width - side}):
                window = np.s_[top : top + side, left : left + side]
                small = cv2.resize(image[window], (257, 257), interpolation=cv2.INTER_AREA)
                logits[window] += cv2.resize(self._run(small), (side, side))
                seen[window] += 1
        return image, softmax(logits / seen)

    def _run(self, picture):
        """uint8 [257, 257, 3] -> logits float32 [257, 257, 21]."""
        network = self._network
        network.set_tensor(network.get_input_details()[0]["index"], picture.astype(np.float32)[None] / 127.5 - 1)
        network.invoke()
        return network.get_tensor(network.get_output_details()[0]["index"])[0]

    def cached(self, folder, split):
        """Score files of a split, as pictures for the search."""
        pictures = []
        for sample in self.samples[split]:
            score = str(pathlib.Path(folder) / f"{sample.id}.npz")
            if not os.path.exists(score):
                save_scores(score, self(sample.id)[1])
            pictures.append(crf_search.Picture(sample.id, score, sample.image, sample.label))
        return pictures


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def landscape(source, count):
    """Pictures of 375 x 500, the size the targets speak of."""
    found = []
    for identity in source.ids:
        image, probs = source(identity)
        if image.shape == (375, 500, 3):
            found.append((image, probs))
        if len(found) == count:
            break
    return found


def with_classes(source, count, classes):
    """`landscape`, with another number of classes: of real maps the strongest and the others together as one, or the objects
    of the other pictures as well (21 classes, and 20 from each), so that in every picture several compete for the pixels."""
    if isinstance(source, Synthetic):
        return [source(identity, classes=classes) for identity in source.ids[:count]]
    if classes <= 21:
        return [(image, _strongest(probs, classes)) for image, probs in landscape(source, count)]
    every = landscape(source, count + -(-(classes - 21) // 20))
    found = []
    for place, (image, probs) in enumerate(every[:count]):
        others = [other[..., 1:] for _, other in every[:place] + every[place + 1 :]]
        both = np.concatenate([probs, *others], axis=-1)[..., :classes]
        found.append((image, np.ascontiguousarray(both / both.sum(axis=-1, keepdims=True))))
    return found


def _strongest(probs, classes):
    if classes == probs.shape[-1]:
        return probs
    order = np.argsort(-probs.sum(axis=(0, 1)), kind="stable")
    rest = probs[..., order[classes - 1 :]].sum(axis=-1, keepdims=True)
    return np.ascontiguousarray(np.concatenate([probs[..., order[: classes - 1]], rest], axis=-1))
