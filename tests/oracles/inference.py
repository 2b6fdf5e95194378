"""The rule for pictures of any size, step by step in NumPy."""

import numpy as np

MEAN_RGB = np.array([122.675, 116.669, 104.008], np.float32)


def pad(image, multiple):
    """Mean pixel at the bottom and on the right until both sides are multiple * n + 1."""
    height, width = image.shape[:2]
    while (height - 1) % multiple:
        height += 1
    while (width - 1) % multiple:
        width += 1
    padded = np.tile(MEAN_RGB, (height, width, 1))
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def resize(values, height, width):
    """Bilinear with aligned corners, pixel by pixel; [h, w, channels] -> [height, width, channels]."""
    result = np.zeros((height, width, values.shape[2]))
    for y in range(height):
        for x in range(width):
            v = y * (values.shape[0] - 1) / max(1, height - 1)
            u = x * (values.shape[1] - 1) / max(1, width - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
            b, r = v - top, u - left
            result[y, x] = (1 - b) * ((1 - r) * values[top, left] + r * values[top, right]) + b * (
                (1 - r) * values[bottom, left] + r * values[bottom, right]
            )
    return result


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def segment(logits_of, image, scales=(1.0,), stride=8):
    """`logits_of`: float32 [h, w, 3] -> logits [rows, columns, K]."""
    padded = pad(image, stride * (4 if len(scales) > 1 else 1))
    height, width = padded.shape[:2]
    target = [(height - 1) // stride + 1, (width - 1) // stride + 1]
    fused = np.full((*target, 1), -np.inf)
    for scale in scales:
        scaled = resize(padded, int((height - 1) * scale + 1), int((width - 1) * scale + 1))
        fused = np.maximum(fused, resize(logits_of(scaled.astype(np.float32)), *target))
    return softmax(resize(fused, height, width)[: image.shape[0], : image.shape[1]])
