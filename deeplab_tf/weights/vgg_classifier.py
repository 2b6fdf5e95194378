"""ImageNet's fc6 and fc7 made to fit the paper's smaller ones (section 4.1, Table 1).

The 7x7 kernel is sub-sampled, `[::2]` to 4x4 and `[::3]` to 3x3; the 3x3 nets keep a random subset of 1,024
of the 4,096 filters of fc6 and of fc7. fc7 reads exactly the filters that fc6 keeps. The paper draws one
subset for its thin net and builds ASPP from parallel copies of it that differ in their rate, so here all
branches start from the same one.
"""

import re

import numpy as np

from deeplab_tf.weights.names import is_fully_connected

_STEP = {7: 1, 4: 2, 3: 3}  # taps of 7: 0..6, 0 2 4 6, 0 3 6


def fit_fully_connected(tensors: dict, shapes: dict, seed: int) -> tuple[dict, list[str]]:
    """Replaces the source's 7x7 fc6 and its fc7 by what the model's `fc6`, `fc7` or `fc6_1` ... `fc7_4` need.

    Args:
        tensors: canonical name to array; fc6 as [7, 7, 512, 4096], fc7 as [1, 1, 4096, 4096].
        shapes: the model's shapes by canonical name.
        seed: of the random subsets.

    Returns:
        The tensors for the model, and notes on what was done. Unchanged where the source has no 7x7 fc6 or
        the model takes it as it is.
    """
    targets = [name for name in shapes if re.fullmatch(r"fc6(_\d)?/kernel", name)]
    names = ("fc6/kernel", "fc6/bias", "fc7/kernel", "fc7/bias")
    if not targets or any(name not in tensors for name in names) or tensors["fc6/kernel"].shape[:2] != (7, 7):
        return tensors, []
    size, _, _, width = shapes[targets[0]]
    fc6, fc7 = tensors["fc6/kernel"], tensors["fc7/kernel"]
    if size not in _STEP or width > fc6.shape[-1] or (targets == ["fc6/kernel"] and fc6.shape == shapes[targets[0]]):
        return tensors, []
    generator = np.random.default_rng(seed)
    keep6, keep7 = (_subset(generator, kernel.shape[-1], width) for kernel in (fc6, fc7))
    step = _STEP[size]
    fitted = {
        "fc6/kernel": fc6[::step, ::step, :, keep6],
        "fc6/bias": tensors["fc6/bias"][keep6],
        "fc7/kernel": fc7[:, :, keep6][..., keep7],
        "fc7/bias": tensors["fc7/bias"][keep7],
    }
    result = {name: value for name, value in tensors.items() if not is_fully_connected(name)}
    for target in targets:
        branch = target.removeprefix("fc6").removesuffix("/kernel")
        result |= {name.replace("/", branch + "/"): value for name, value in fitted.items()}
    note = f"fc6, fc7 from the 7x7 classifier: kernel {size}x{size}"
    if width < fc6.shape[-1]:
        note += f", {width} of {fc6.shape[-1]} filters drawn with seed {seed}"
        note += ", the same in every branch" if len(targets) > 1 else ""
    return result, [note]


def _subset(generator: np.random.Generator, count: int, width: int) -> np.ndarray:
    if width == count:
        return np.arange(count)
    return np.sort(generator.choice(count, width, replace=False))
