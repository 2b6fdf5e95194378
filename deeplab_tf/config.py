"""Every setting of an experiment with its default, checked once and kept as JSON beside the checkpoints.

The field names are the flag names (see `deeplab_tf.flags`); no name stands twice. Standard library only: a wrong
setting is answered before TensorFlow is imported.
"""

from __future__ import annotations

import dataclasses
import json
import typing

from deeplab_tf.crf.params import CrfParams
from deeplab_tf.datasets.specs import list_datasets
from deeplab_tf.errors import UserError
from deeplab_tf.models import zoo


def setting(default, help, choices=None):
    """A dataclass field with what its flag needs to know."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which network."""

    model: str = setting("vgg16_largefov", "network of the zoo")
    weights: str | None = setting(None, "initial weights: a file or the name of a weights record")
    output_stride: int = setting(8, "input pixels per score-map pixel", zoo.OUTPUT_STRIDES)
    head_rates: tuple[int, ...] | None = setting(None, "atrous rates of the head at this output stride")
    width: float = setting(1.0, "factor on the number of filters of every layer but the last")
    scales: tuple[float, ...] = setting((1.0,), "picture scales fused by max of logits (MSC: 0.5,0.75,1)")
    atrous_method: str = setting(
        "auto", "how the holes are made", ("auto", "space_to_batch", "native")
    )
    frozen_batch_norm: bool = setting(True, "keep batch norm's statistics, gamma and beta fixed")
    precision: str = setting("float32", "arithmetic of the network", ("float32", "mixed_bfloat16"))


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which pictures."""

    dataset: str = setting("miniature", "data set")
    data_dir: str | None = setting(None, "folder of the data set (data/README.md says how it lies on disk)")
    labels: str | None = setting(None, "labels.txt of --dataset=folder, one class name a line")
    train_split: str = setting("train", "split to train on")
    eval_split: str = setting("val", "split to evaluate on")
    crop_size: int = setting(321, "side of the training crops in pixels, 8n+1 (32n+1 with several scales)")
    augment_scales: tuple[float, ...] = setting((1.0,), "random picture scales in training, one drawn a sample")
    augment_range: tuple[float, ...] | None = setting(
        None, "LOW,HIGH: the random scale is drawn evenly between them, in place of --augment_scales"
    )
    mirror: bool = setting(True, "mirror half of the training samples")


@dataclasses.dataclass(frozen=True)
class SolverConfig:
    """How it learns: Caffe's SGD as the published nets used it (section 4)."""

    policy: str = setting("poly", "learning-rate policy", ("poly", "step"))
    base_learning_rate: float = setting(1e-3, "learning rate of step 0")
    power: float = setting(0.9, "poly: exponent")
    step_size: int = setting(2000, "step: steps between two drops of the rate")
    gamma: float = setting(0.1, "step: factor of a drop")
    steps: int = setting(20000, "training steps")
    batch_size: int = setting(10, "crops a micro-batch")
    iter_size: int = setting(1, "micro-batches whose gradients are averaged for one step")
    momentum: float = setting(0.9, "momentum")
    weight_decay: float = setting(5e-4, "weight decay; never on biases and batch norm")
    head_multiplier: float = setting(10.0, "factor on the rate of the last layer's weights (biases: twice that)")
    class_weights: str = setting(
        "none", "weights of the classes in the loss", ("none", "median_frequency")
    )
    ignore_classes: tuple[int, ...] | None = setting(None, "train ids that the loss leaves out, as it leaves void out")
    recompute: bool = setting(False, "compute the trunk's activations again in the backward pass: less memory, more time")
    memory_limit: float | None = setting(None, "GiB that training may take; a run that would need more is refused")
    strategy: str = setting(
        "default", "how devices share a step", ("default", "mirrored", "multi_worker", "tpu")
    )
    cpu_devices: int = setting(1, "logical devices that a processor is split into, to try --strategy=mirrored on")
    eval_every: int = setting(0, "steps between two evaluations on the eval split, 0: none; the best checkpoint is kept")
    collapse_after: int = setting(500, "steps in a row with a single predicted class that end the run, 0: none do")
    eval_images: int = setting(100, "pictures of an evaluation while training, the first ones of the split")
    seed: int = setting(0, "seed of the initial weights, the order, the crops and dropout")
    save_every: int = setting(500, "steps between two checkpoints")
    keep_checkpoints: int = setting(2, "newest checkpoints to keep")
    log_every: int = setting(10, "steps between two lines of train.jsonl")


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How it is judged."""

    checkpoint: str = setting("newest", "which checkpoint of the run", ("newest", "best"))
    flip: bool = setting(False, "average the probabilities of the picture and its mirror image")
    tile: int | None = setting(None, "side of the tiles that larger pictures are cut into")
    max_images: int | None = setting(None, "evaluate on the first N pictures only")
    crf: bool = setting(True, "evaluate after the dense CRF as well")
    crf_preset: str | None = setting(None, "CRF parameters: a preset's name or a file of crf_search")
    crf_workers: int = setting(2, "threads of the CRF stage")
    gallery: int = setting(12, "pictures in the report")
    trimap: str | None = setting(None, "curve over bands round boundaries: 'void' (VOC val) or 'label_change'")


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """One experiment. Build it with `ExperimentConfig.create`, `from_json`, or from flags."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    solver: SolverConfig = SolverConfig()
    eval: EvalConfig = EvalConfig()
    crf: CrfParams = CrfParams()

    def __post_init__(self):
        _check(self)

    @classmethod
    def create(cls, **settings) -> ExperimentConfig:
        """From flat settings (`model="resnet101", crop_size=321, …`); CRF settings carry the prefix `crf_`.

        Raises:
          UserError: an unknown setting or a value out of its range.
        """
        return cls().replace(**settings)

    def replace(self, **settings) -> ExperimentConfig:
        """A copy with some flat settings changed."""
        sections = {name: {} for name in SECTIONS}
        places = {flag: (section, field) for section, field, flag in all_settings()}
        for name, value in settings.items():
            if name not in places:
                raise UserError(f"setting {name!r} is unknown, expected one of {', '.join(sorted(places))}.")
            section, field = places[name]
            sections[section][field.name] = tuple(value) if isinstance(value, list) else value
        try:
            changed = {
                section: dataclasses.replace(getattr(self, section), **values)
                for section, values in sections.items()
                if values
            }
        except ValueError as error:
            raise UserError(str(error)) from error
        return dataclasses.replace(self, **changed)

    def flat(self) -> dict:
        """The settings as one dict, keyed as `create` takes them."""
        return {flag: getattr(getattr(self, section), field.name) for section, field, flag in all_settings()}

    def to_json(self) -> str:
        """One line a setting, sorted as declared."""
        return json.dumps(self.flat(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "config.json") -> ExperimentConfig:
        """Reads what `to_json` wrote; `source` is the name used in errors."""
        try:
            settings = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{source} is not JSON ({error}), expected the config of a run; restore it.") from error
        known = {name for _, _, name in all_settings()}
        unknown = sorted(set(settings) - known) if isinstance(settings, dict) else [type(settings).__name__]
        if unknown:
            raise UserError(f"{source} holds {', '.join(unknown)}, expected the settings of a run; restore it or train again.")
        try:
            return cls.create(**settings)
        except (TypeError, ValueError) as error:
            raise UserError(f"{source} is no config of a run ({error}); restore it or train again.") from error


SECTIONS = {
    "model": ModelConfig,
    "data": DataConfig,
    "solver": SolverConfig,
    "eval": EvalConfig,
    "crf": CrfParams,
}


def all_settings() -> typing.Iterator[tuple[str, dataclasses.Field, str]]:
    """(section, field, flat name) of every setting."""
    for section, cls in SECTIONS.items():
        for field in dataclasses.fields(cls):
            yield section, field, f"crf_{field.name}" if section == "crf" else field.name


def size_multiple(config: ExperimentConfig) -> int:
    """Crops have this many pixels times n, plus one (`zoo.size_multiple`)."""
    return zoo.size_multiple(config.model.output_stride, config.model.scales)


def _check(config: ExperimentConfig) -> None:
    for section, field, flag in all_settings():
        choices = field.metadata.get("choices")
        value = getattr(getattr(config, section), field.name)
        if choices and value not in choices:
            raise UserError(f"--{flag}: got {value!r}, expected one of {', '.join(map(str, choices))}.")
    rates = zoo.get_preset(config.model.model).rates
    _range("dataset", config.data.dataset, config.data.dataset in list_datasets(), f"one of {', '.join(list_datasets())}")
    model, data, solver = config.model, config.data, config.solver
    _range("scales", model.scales, model.scales and all(0 < s <= 4 for s in model.scales), "factors in (0, 4]")
    _range("scales", model.scales, len(model.scales) == 1 or 1.0 in model.scales, "scale 1 among them")
    _range("scales", model.scales, len(model.scales) > 1 or (1 / model.scales[0]).is_integer(),
           "1, 0.5, 0.25, … where one stands alone")
    multiple = size_multiple(config)
    crop = data.crop_size
    if crop < multiple + 1 or crop % multiple != 1 % multiple:
        lower = max(crop - 1, multiple) // multiple * multiple + 1
        raise UserError(
            f"--crop_size: got {crop}, expected {multiple}n+1 (output stride {model.output_stride}, "
            f"{len(model.scales)} scale{'s' * (len(model.scales) > 1)}); take {lower} or {lower + multiple}."
        )
    _range("width", model.width, 0 < model.width <= 4, "a factor above 0, at most 4")
    _range("head_rates", model.head_rates, model.head_rates is None or (
        len(model.head_rates) == len(rates) and min(model.head_rates) >= 1), f"{len(rates)} whole rates from 1")
    _range("labels", data.labels, data.labels is None or data.dataset == "folder", "nothing unless --dataset=folder")
    _range("augment_scales", data.augment_scales,
           data.augment_scales and all(0 < s <= 8 for s in data.augment_scales), "factors in (0, 8]")
    for name in ("steps", "batch_size", "iter_size", "step_size", "save_every", "keep_checkpoints", "log_every"):
        _range(name, getattr(solver, name), getattr(solver, name) >= 1, "a whole number from 1")
    _range("augment_range", data.augment_range, data.augment_range is None or (
        len(data.augment_range) == 2 and 0 < data.augment_range[0] <= data.augment_range[1] <= 8), "LOW,HIGH in (0, 8]")
    _range("ignore_classes", solver.ignore_classes, all(0 <= c < 255 for c in solver.ignore_classes or ()), "train ids")
    _range("memory_limit", solver.memory_limit, solver.memory_limit is None or solver.memory_limit > 0, "GiB above 0")
    for name in ("eval_every", "collapse_after", "cpu_devices", "eval_images"):
        least = 0 if name in ("eval_every", "collapse_after") else 1
        _range(name, getattr(solver, name), getattr(solver, name) >= least, f"a whole number from {least}")
    for name in ("base_learning_rate", "power", "gamma", "head_multiplier"):
        _range(name, getattr(solver, name), getattr(solver, name) > 0, "a number above 0")
    _range("momentum", solver.momentum, 0 <= solver.momentum < 1, "a number in [0, 1)")
    _range("weight_decay", solver.weight_decay, solver.weight_decay >= 0, "0 or more")
    _range("seed", solver.seed, 0 <= solver.seed < 2**31, "a whole number in [0, 2^31)")
    judged = config.eval
    _range("crf_workers", judged.crf_workers, judged.crf_workers >= 1, "a whole number from 1")
    _range("tile", judged.tile, judged.tile is None or judged.tile > multiple, f"a side above {multiple} pixels")
    _range("max_images", judged.max_images, judged.max_images is None or judged.max_images >= 1, "a whole number from 1")
    _range("gallery", judged.gallery, judged.gallery >= 0, "a whole number from 0")
    _range("trimap", judged.trimap, judged.trimap in (None, "", "void", "label_change"), "void or label_change")
    single = [f"--{flag}" for section, field, flag in all_settings()
              if section == "crf" and getattr(config.crf, field.name) != field.default]
    if judged.crf_preset and single:
        raise UserError(f"{', '.join(single)}: given beside --crf_preset={judged.crf_preset}, expected one or the other; give "
                        "--crf_preset= (empty) to use single values.")


def _range(name, value, holds, expected) -> None:
    if not holds:
        raise UserError(f"--{name}: got {value!r}, expected {expected}.")
