"""Pictures of known errors, and a report of them."""

import numpy as np
import pytest

from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve
from deeplab_tf.pages.gallery import Gallery
from deeplab_tf.pages.report import Report

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 0, 250))
NAMES = ("background", "cat <tabby> & co", "never seen")


def make_scene(seed, wrong=0):
    """(image, label, prediction): a cat of 15 rows and a void margin; `wrong` rows of the cat are predicted background."""
    rng = np.random.default_rng(seed)
    label = np.zeros((30, 44), np.uint8)
    label[5:20, 8:30] = 1
    label[:, 40:] = 255
    prediction = np.where(label == 255, 0, label)
    prediction[5 : 5 + wrong] = 0
    return rng.integers(0, 256, (30, 44, 3)).astype(np.uint8), label, prediction


@pytest.fixture(scope="session")
def scene():
    return make_scene


@pytest.fixture(scope="session")
def make_report():
    """A report of twelve pictures, the later the worse, with names that ask for escaping; one result or before and after."""

    def make(names=("before CRF", "after CRF"), size=8, **options):
        results = {name: ConfusionMatrix(3) for name in names}
        trimaps = {name: TrimapCurve(3, "void", 10) for name in names}
        gallery = Gallery(PALETTE, size)
        for seed in range(12):
            image, label, _ = make_scene(seed)
            predictions = [make_scene(seed, wrong=seed // (1 + place))[2] for place in range(len(names))]
            for name, ids in zip(names, predictions, strict=True):
                results[name].update(label, ids)
                trimaps[name].update(label, ids)
            gallery.offer(f"scene/<{seed:02d}>", image, label, *predictions)
        return Report("net on set", NAMES, PALETTE, results, gallery, trimaps=trimaps, **options)

    return make
