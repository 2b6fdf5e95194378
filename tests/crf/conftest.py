"""Random pictures and probabilities, and real score maps where test data is at hand."""

import numpy as np
import pytest


def make_picture(height, width, classes, seed=0, contrast=3.0):
    """A picture of soft blobs with noise, and probabilities that follow it in part."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(height // 6 + 2, width // 6 + 2, classes))
    rows, columns = (np.arange(size) / 6 for size in (height, width))
    (y, fy), (x, fx) = ((index.astype(int), index % 1) for index in (rows, columns))
    left = coarse[y][:, x] * (1 - fx)[None, :, None] + coarse[y][:, x + 1] * fx[None, :, None]
    right = coarse[y + 1][:, x] * (1 - fx)[None, :, None] + coarse[y + 1][:, x + 1] * fx[None, :, None]
    logits = contrast * (left * (1 - fy)[:, None, None] + right * fy[:, None, None])
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    palette = rng.integers(0, 256, (classes, 3))
    image = palette[logits.argmax(axis=-1)] + rng.normal(scale=6, size=(height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8), (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def real_scores(test_data):
    """A function from a VOC id to (image, probabilities) of the weak real network, up-sampled to the picture."""
    import cv2

    litert = pytest.importorskip("tensorflow").lite
    network = litert.Interpreter(str(test_data / "weights/deeplabv3_257_mv_gpu.tflite"))
    network.allocate_tensors()
    source, target = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]

    def scores(identity):
        path = test_data / f"data/VOCdevkit/VOC2012/JPEGImages/{identity}.jpg"
        image = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
        network.set_tensor(source, cv2.resize(image, (257, 257)).astype(np.float32)[None] / 127.5 - 1)
        network.invoke()
        logits = cv2.resize(network.get_tensor(target)[0], image.shape[1::-1])
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return image, powers / powers.sum(axis=-1, keepdims=True)

    return scores
