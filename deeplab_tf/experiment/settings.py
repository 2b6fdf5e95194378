"""Every setting of an experiment: its default, what it means and which values it may have, section by section.

The field names are the flag names (see `experiment.flags`); no name stands twice. Standard library only: a wrong setting is
answered before TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable

from deeplab_tf.crf.params import CrfParams
from deeplab_tf.datasets.specs import list_datasets
from deeplab_tf.models import zoo


class Range(typing.NamedTuple):
    """The values a setting may have: in words, and as a test. None of an optional setting is never tested."""

    expected: str
    holds: Callable[[typing.Any], bool]


def whole_from(least: int) -> Range:
    return Range(f"a whole number from {least}", lambda value: value >= least)


def one_of(choices) -> Range:
    return Range(f"one of {', '.join(map(str, choices))}", lambda value: value in choices)


ABOVE_0 = Range("a number above 0", lambda value: value > 0)


def setting(default, help, valid: Range | None = None, choices=None):
    """A dataclass field with what its flag and its check need to know."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices, "valid": valid})


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which network."""

    model: str = setting("vgg16_largefov", "network of the zoo")
    weights: str | None = setting(None, "weights: a file or the name of a weights record")
    output_stride: int = setting(8, "input pixels per score-map pixel", choices=zoo.OUTPUT_STRIDES)
    head_rates: tuple[int, ...] | None = setting(None, "atrous rates of the head at this output stride")
    width: float = setting(
        1.0, "factor on the number of filters of every layer but the last",
        Range(f"a factor from {zoo.MIN_WIDTH} (one filter is left of 64) to 4", lambda width: zoo.MIN_WIDTH <= width <= 4),
    )  # fmt: skip
    scales: tuple[float, ...] = setting(
        (1.0,), "picture scales fused by max of logits (MSC: 0.5,0.75,1)",
        Range("factors in (0, 4]", lambda scales: scales and all(0 < scale <= 4 for scale in scales)),
    )  # fmt: skip
    atrous_method: str = setting("auto", "how the holes are made", choices=("auto", "space_to_batch", "native"))
    dilated_pools: bool = setting(False, "VGG: dilate pool4 and pool5, which the published nets do not")
    v1_average_pool: bool = setting(False, "VGG: the average pool before fc6 that only the conference release had")
    frozen_batch_norm: bool = setting(True, "keep batch norm's statistics, gamma and beta fixed")
    precision: str = setting("float32", "arithmetic of the network", choices=("float32", "mixed_bfloat16"))


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which pictures."""

    dataset: str = setting("miniature", "data set", one_of(list_datasets()))
    data_dir: str | None = setting(None, "folder of the data set (data/README.md says how it lies on disk)")
    labels: str | None = setting(None, "labels.txt of --dataset=folder, one class name a line")
    train_split: str = setting("train", "split to train on")
    eval_split: str = setting("val", "split to evaluate on")
    ignore_classes: tuple[int, ...] | None = setting(
        None, "train ids that count as void in training and evaluation",
        Range("train ids", lambda ids: all(0 <= train_id < 255 for train_id in ids)),
    )  # fmt: skip
    crop_size: int = setting(321, "side of the training crops in pixels, 8n+1 (32n+1 with several scales)")
    augment_scales: tuple[float, ...] = setting(
        (1.0,), "random picture scales in training, one drawn a sample",
        Range("factors in (0, 8]", lambda scales: scales and all(0 < scale <= 8 for scale in scales)),
    )  # fmt: skip
    augment_range: tuple[float, ...] | None = setting(
        None, "LOW,HIGH: the random scale is drawn evenly between them, in place of --augment_scales",
        Range("LOW,HIGH in (0, 8]", lambda ends: len(ends) == 2 and 0 < ends[0] <= ends[1] <= 8),
    )  # fmt: skip
    mirror: bool = setting(True, "mirror half of the training samples")


@dataclasses.dataclass(frozen=True)
class SolverConfig:
    """How it learns: by default Caffe's SGD as the published nets used it (section 4)."""

    policy: str = setting("poly", "learning-rate policy", choices=("poly", "step"))
    base_learning_rate: float = setting(1e-3, "learning rate of step 0", ABOVE_0)
    power: float = setting(0.9, "poly: exponent", ABOVE_0)
    step_size: int = setting(2000, "step: steps between two drops of the rate", whole_from(1))
    gamma: float = setting(0.1, "step: factor of a drop", ABOVE_0)
    steps: int = setting(20000, "training steps", whole_from(1))
    batch_size: int = setting(10, "crops a micro-batch", whole_from(1))
    iter_size: int = setting(1, "micro-batches whose gradients are averaged for one step", whole_from(1))
    optimizer: str = setting("sgd", "sgd: Caffe's, as published; adamw: for random weights", choices=("sgd", "adamw"))
    momentum: float = setting(0.9, "momentum; adamw: beta_1", Range("a number in [0, 1)", lambda value: 0 <= value < 1))
    weight_decay: float = setting(
        5e-4, "weight decay; never on biases and batch norm", Range("0 or more", lambda value: value >= 0)
    )
    head_multiplier: float = setting(10.0, "factor on the rate of the last layer's weights (biases: twice that)", ABOVE_0)
    class_weights: str = setting(
        "none", "weights of the classes in the loss", choices=("none", "sqrt_median_frequency", "median_frequency")
    )
    seed: int = setting(
        0, "seed of the initial weights, the order, the crops and dropout",
        Range("a whole number in [0, 2^31)", lambda value: 0 <= value < 2**31),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class DevicesConfig:
    """What it runs on, and how much memory it may take."""

    strategy: str = setting("default", "how devices share a step", choices=("default", "mirrored", "multi_worker", "tpu"))
    cpu_devices: int = setting(
        1, "logical devices that a processor is split into, to try --strategy=mirrored on", whole_from(1)
    )
    deterministic: bool = setting(
        False, "TensorFlow's deterministic operations: bit for bit the same on a GPU too after a resume, but slower there"
    )
    recompute: bool = setting(False, "compute the trunk's activations again in the backward pass: less memory, more time")
    memory_limit: float | None = setting(
        None, "GiB that may be taken; a training that would need more is refused, larger pictures are cut into tiles",
        Range("GiB above 0", lambda gib: gib > 0),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RecordConfig:
    """What a run tells and keeps on its way."""

    log_every: int = setting(10, "steps between two lines of train.jsonl", whole_from(1))
    save_every: int = setting(500, "steps between two checkpoints", whole_from(1))
    keep_checkpoints: int = setting(2, "newest checkpoints to keep", whole_from(1))
    eval_every: int = setting(
        0, "steps between two evaluations on the eval split, 0: none; the best checkpoint is kept", whole_from(0)
    )
    eval_images: int = setting(100, "pictures of an evaluation while training, the first ones of the split", whole_from(1))
    # Half: the rendered scenes' working run of 350 steps predicts background alone for its first 55.
    collapse_after: float = setting(
        0.5,
        "steps in a row with a single predicted class that end the run; below 1: as a share of its steps (20 to 500 of them); "
        "0: none do",
        Range("0 or more", lambda value: value >= 0),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How it is judged."""

    checkpoint: str = setting("newest", "which checkpoint of the run", choices=("newest", "best"))
    eval_scales: tuple[float, ...] | None = setting(
        None, "picture scales in place of the network's own",
        Range("factors in (0, 4] with 1 among several", lambda scales: scales and all(0 < scale <= 4 for scale in scales)
              and (len(scales) == 1 or 1.0 in scales)),
    )  # fmt: skip
    fusion: str = setting(
        "max_logits", "how several scales are fused, the first as published", choices=("max_logits", "mean_probabilities")
    )
    flip: bool = setting(False, "average the probabilities of the picture and its mirror image")
    tile: int | None = setting(None, "side of the tiles that larger pictures are cut into")
    max_images: int | None = setting(None, "evaluate on the first N pictures only", whole_from(1))
    crf: bool = setting(True, "evaluate after the dense CRF as well")
    crf_preset: str | None = setting(None, "CRF parameters: a preset's name or a file of crf_search")
    crf_workers: int = setting(2, "threads of the CRF stage", whole_from(1))
    gallery: int = setting(12, "pictures in the report", whole_from(0))
    trimap: str | None = setting(
        None, "curve over bands round boundaries: 'void' (VOC val) or 'label_change'",
        Range("void or label_change", lambda definition: definition in ("void", "label_change")),
    )  # fmt: skip


SECTIONS = {
    "model": ModelConfig,
    "data": DataConfig,
    "solver": SolverConfig,
    "devices": DevicesConfig,
    "record": RecordConfig,
    "eval": EvalConfig,
    "crf": CrfParams,
}


class Setting(typing.NamedTuple):
    """Where a setting stands and what its flag is called: the field's name, with the prefix `crf_` for the CRF's."""

    section: str
    field: dataclasses.Field
    flag: str


def all_settings() -> typing.Iterator[Setting]:
    """Every setting, in the order of its declaration."""
    for section, cls in SECTIONS.items():
        for field in dataclasses.fields(cls):
            yield Setting(section, field, f"crf_{field.name}" if section == "crf" else field.name)


def joined(numbers) -> str:
    """Numbers as flags hold them, as short as they read back: 1,0.5."""
    return ",".join(f"{number:g}" if float(f"{number:g}") == number else repr(number) for number in numbers)


NETWORK = ("model", "output_stride", "head_rates", "width", "scales", "atrous_method", "precision")
TRAINED = (*NETWORK, "weights", "dataset", "labels", "checkpoint")
"""Settings that say which trained network: a run's checkpoint, or a weights file, its network and its label table."""
CRF_STAGE = ("crf", "crf_preset", "crf_workers", *(flag for section, _, flag in all_settings() if section == "crf"))
"""Settings of the CRF behind a network."""
