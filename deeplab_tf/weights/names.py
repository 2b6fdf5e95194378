"""Canonical variable names, and the maps from other people's names to them.

Canonical names are the published Caffe layer names with Keras variable names: `conv1_1/kernel`,
`res2a_branch2a/kernel`, `bn2a_branch2a/moving_mean`.
"""

import re

_KERAS_VGG = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
_KERAS_BRANCH = {"0": "1", "1": "2a", "2": "2b", "3": "2c"}
_TORCH_BRANCH = {"shortcut": "1", "reduce": "2a", "conv3x3": "2b", "increase": "2c"}
_TORCH_CONV = {"weight": "kernel", "bias": "bias"}
_TORCH_BN = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def is_head(name: str) -> bool:
    """Whether the variable belongs to the layers that give class scores (`fc8...`, `fc1...`)."""
    return name.startswith(("fc8", "fc1"))


def is_fully_connected(name: str) -> bool:
    """Whether the variable belongs to VGG's fc6 or fc7, which not every file carries."""
    return name.startswith(("fc6", "fc7"))


def is_backbone(name: str) -> bool:
    """Whether loading must cover the variable: everything but the head and fc6, fc7."""
    return not is_head(name) and not is_fully_connected(name)


def is_residual_or_vgg(name: str) -> bool:
    """Whether the name is one that the published trunks use, in this or a deeper variant."""
    return re.match(r"conv\d+_\d+/|(res|bn)\d+[a-z]\d*_branch", name) is not None


def layer_of(name: str) -> str:
    """The layer part of a canonical variable name."""
    return name.rsplit("/", 1)[0]


def batch_norm_of(conv_layer: str) -> str:
    """`conv1` -> `bn_conv1`, `res2a_branch1` -> `bn2a_branch1`."""
    return "bn_conv1" if conv_layer == "conv1" else "bn" + conv_layer.removeprefix("res")


def block_name(stage: int, index: int, resnet101: bool) -> str:
    """Published name of a residual block: `2a`, `4b22` (ResNet-101), `4f` (ResNet-50); `index` counts from 0."""
    if resnet101 and stage in (3, 4):
        return f"{stage}a" if index == 0 else f"{stage}b{index}"
    return f"{stage}{'abcdefgh'[index]}"


def from_keras(layer: str, resnet101: bool) -> str:
    """Canonical layer name for a Keras Applications layer name; other names are returned as they are."""
    if match := re.fullmatch(r"block(\d)_conv(\d)", layer):
        return f"conv{match[1]}_{match[2]}"
    if layer in ("conv1_conv", "conv1_bn"):
        return "conv1" if layer == "conv1_conv" else "bn_conv1"
    if match := re.fullmatch(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)", layer):
        block = block_name(int(match[1]), int(match[2]) - 1, resnet101)
        return f"{'res' if match[4] == 'conv' else 'bn'}{block}_branch{_KERAS_BRANCH[match[3]]}"
    return _KERAS_VGG.get(layer, layer)


def from_torch(key: str, resnet101: bool) -> str | None:
    """Canonical variable name for a key of kazuto1011/deeplab-pytorch, or None where it has none here."""
    key = key.removeprefix("module.").removeprefix("base.")
    if match := re.fullmatch(r"layer1\.conv1\.(conv|bn)\.(\w+)", key):
        layer, kind, field = ("conv1" if match[1] == "conv" else "bn_conv1"), match[1], match[2]
    elif match := re.fullmatch(r"layer([2-5])\.block(\d+)\.(\w+)\.(conv|bn)\.(\w+)", key):
        if match[3] not in _TORCH_BRANCH:
            return None
        block = block_name(int(match[1]), int(match[2]) - 1, resnet101)
        layer = f"{'res' if match[4] == 'conv' else 'bn'}{block}_branch{_TORCH_BRANCH[match[3]]}"
        kind, field = match[4], match[5]
    elif match := re.fullmatch(r"aspp\.(c[0-3])\.(weight|bias)", key):
        layer, kind, field = f"fc1_voc12_{match[1]}", "conv", match[2]
    elif match := re.fullmatch(r"fc\.(weight|bias)", key):
        layer, kind, field = "fc1_voc12", "conv", match[1]
    else:
        return None
    variable = (_TORCH_CONV if kind == "conv" else _TORCH_BN).get(field)
    return f"{layer}/{variable}" if variable else None
