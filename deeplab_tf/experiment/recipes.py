"""The published recipes as literal tables, and where an experiment departs from them.

Source: the solver and train prototxts of the DeepLab v2 release for PASCAL VOC 2012; section 4 of the paper agrees where it
gives a value. No solver is published for the other data sets: VOC's is taken. No TensorFlow is needed here.
"""

from __future__ import annotations

import pathlib

from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.models.zoo import get_preset

VGG16 = {
    "weights": "ImageNet",
    "output_stride": 8,
    "width": 1.0,
    "scales": (1.0,),
    "precision": "float32",
    "dilated_pools": False,
    "v1_average_pool": False,
    "train_split": "train",
    "crop_size": 321,
    "augment_scales": (1.0,),
    "augment_range": None,
    "mirror": True,
    "policy": "poly",
    "base_learning_rate": 1e-3,
    "power": 0.9,
    "step_size": 2000,
    "gamma": 0.1,
    "steps": 20000,
    "batch_size": 10,
    "iter_size": 1,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "head_multiplier": 10.0,
    "class_weights": "none",
    "ignore_classes": None,
}

RESNET101 = VGG16 | {
    "scales": (0.5, 0.75, 1.0),
    "frozen_batch_norm": True,
    "augment_scales": (0.5, 0.75, 1.0, 1.25, 1.5),
    "base_learning_rate": 2.5e-4,
    "batch_size": 1,
    "iter_size": 10,
}

TRAIN_SPLITS = {"voc2012": "train_aug"}
FROM_COCO = ("voc2012", "pascal_context", "pascal_person_part")  # the best ResNet-101 of Tables 4, 6 and 7
WITHOUT_MSC = ("cityscapes",)  # section 4.4: no multi-scale inputs for want of memory

_POLICY_OF = {"power": "poly", "step_size": "step", "gamma": "step"}


def recipe(config: ExperimentConfig) -> dict[str, object]:
    """Setting -> published value, for the experiment's network and data set.

    It is the recipe of the best row; a row that varies a setting departs from it. ResNet-50 counts as ResNet-101.
    """
    preset, dataset = get_preset(config.model.model), config.data.dataset
    published = dict(VGG16 if preset.backbone == "vgg16" else RESNET101)
    published["train_split"] = TRAIN_SPLITS.get(dataset, "train")
    if preset.backbone != "vgg16" and dataset in FROM_COCO:
        published["weights"] = "MS-COCO"
    if dataset in WITHOUT_MSC:
        published["scales"] = (1.0,)
    if config.model.head_rates:
        stride = config.model.output_stride
        published["head_rates"] = tuple(rate * 8 / stride for rate in preset.rates)
    return published


def deviations(config: ExperimentConfig) -> tuple[str, ...]:
    """What the experiment does otherwise, each as "base_learning_rate 0.002 (published: 0.001)".

    Covers every setting that changes what is learnt. Initial weights are known by their name only: one with "imagenet" in
    it (or Keras' own) is taken for ImageNet alone, one with "coco" for MS-COCO, any other for what is published.
    """
    used, published = config.flat(), recipe(config)
    used["weights"] = _origin(config.model.weights, published["weights"])
    return tuple(
        f"{name} {_text(used[name])} (published: {_text(value)})"
        for name, value in published.items()
        if used[name] != value and _is_used(name, config)
    )


def notes(config: ExperimentConfig) -> tuple[str, ...]:
    """Where the recipe itself is borrowed, because none is published for the data set or the network."""
    said = []
    if config.data.dataset != "voc2012":
        said.append(f"no solver is published for {config.data.dataset}: VOC's is taken")
    if get_preset(config.model.model).backbone == "resnet50":
        said.append("no solver is published for resnet50: resnet101's is taken")
    return tuple(said)


def describe(config: ExperimentConfig) -> str:
    """The recipe, what is borrowed and every deviation, a line each, for the start of a run."""
    network = "VGG-16" if get_preset(config.model.model).backbone == "vgg16" else "ResNet-101"
    found = deviations(config)
    lines = [f"recipe: the published solver of {network} on VOC 2012", *(f"  {note}" for note in notes(config))]
    lines += ["deviations from the published recipe:" if found else "deviations from the published recipe: none"]
    return "\n".join(lines + [f"  {line}" for line in found])


def _is_used(name: str, config: ExperimentConfig) -> bool:
    """Whether the setting has an effect beside the others: a policy has its own, a range replaces the scales."""
    if name == "augment_scales":
        return config.data.augment_range is None
    return _POLICY_OF.get(name, config.solver.policy) == config.solver.policy


def _origin(weights: str | None, published: str) -> str:
    name = pathlib.Path(weights).name.lower() if weights else ""
    if not name:
        return "none"
    if "imagenet" in name or "weights_tf_dim_ordering" in name:
        return "ImageNet"
    return "MS-COCO" if "coco" in name else published


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
