"""A strip of pictures that shows how the CRF moves one class from iteration to iteration (the paper's Fig. 5)."""

from collections.abc import Sequence

import numpy as np

from deeplab_tf.crf.mean_field import Trace


def trace_strip(trace: Trace, class_index: int, iterations: Sequence[int] = (0, 1, 2, 10)) -> np.ndarray:
    """Score maps of one class on top, belief maps below, one column per iteration.

    Args:
        trace: of `DenseCRF(...)(image, probs, iterations_trace=True)`.
        class_index: which class to draw.
        iterations: columns; 0 is the state before the first iteration. Those beyond the trace are left out.

    Returns:
        uint8 [2 * height, columns * width, 3]; dark is low. A score is drawn relative to the best other class, on one
        scale for all columns, mid grey being the border; beliefs run from 0 to 1.

    Raises:
        ValueError: no such class, or no iteration within the trace.
    """
    length, _, _, classes = trace.scores.shape
    if not 0 <= class_index < classes:
        raise ValueError(f"class_index: got {class_index}, expected 0..{classes - 1}.")
    columns = [iteration for iteration in iterations if 0 <= iteration < length]
    if not columns:
        raise ValueError(f"iterations: got {list(iterations)}, expected some in 0..{length - 1}.")
    scores = trace.scores[columns][..., class_index]
    if classes > 1:
        scores = scores - np.delete(trace.scores[columns], class_index, axis=-1).max(axis=-1)
    limit = max(float(np.abs(scores).max()), 1e-6)
    rows = [
        np.concatenate(list(maps), axis=1) for maps in (0.5 + scores / (2 * limit), trace.beliefs[columns][..., class_index])
    ]
    grey = np.clip(np.concatenate(rows, axis=0) * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
