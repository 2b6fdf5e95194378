"""One experiment: its settings, checked once, and kept as JSON beside the checkpoints. Standard library only."""

from __future__ import annotations

import dataclasses
import json

from deeplab_tf.crf.params import CrfParams
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.settings import (
    SECTIONS,
    DataConfig,
    DevicesConfig,
    EvalConfig,
    ModelConfig,
    RecordConfig,
    SolverConfig,
    all_settings,
    joined,
)
from deeplab_tf.models import zoo


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """One experiment. Build it with `ExperimentConfig.create`, `from_json`, or from flags."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    solver: SolverConfig = SolverConfig()
    devices: DevicesConfig = DevicesConfig()
    record: RecordConfig = RecordConfig()
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
        sections: dict[str, dict] = {name: {} for name in SECTIONS}
        places = {flag: (section, field) for section, field, flag in all_settings()}
        for name, value in settings.items():
            if name not in places:
                raise UserError(f"setting {name!r} is unknown, expected one of {', '.join(sorted(places))}.")
            section, field = places[name]
            if value == "" and field.default is None:  # --name= takes an optional setting back
                value = None
            sections[section][field.name] = tuple(value) if isinstance(value, list) else value
        try:
            changed = {
                section: dataclasses.replace(getattr(self, section), **values) for section, values in sections.items() if values
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

    def to_flagfile(self) -> str:
        """The flags that reproduce the experiment, one a line, as `--flagfile` reads them."""
        lines = []
        for name, value in self.flat().items():
            if isinstance(value, bool):
                lines.append(f"--{name}" if value else f"--no{name}")
            elif isinstance(value, tuple):
                lines.append(f"--{name}={joined(value)}")
            elif value is not None:
                lines.append(f"--{name}={value}")
        return "\n".join(lines) + "\n"

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


def size_multiple(config: ExperimentConfig) -> int:
    """Crops have this many pixels times n, plus one (`zoo.size_multiple`)."""
    return zoo.size_multiple(config.model.output_stride, config.model.scales)


def _check(config: ExperimentConfig) -> None:
    for section, field, flag in all_settings():
        _check_value(flag, getattr(getattr(config, section), field.name), field)
    model, data, judged, multiple = config.model, config.data, config.eval, size_multiple(config)
    _require("scales", model.scales, len(model.scales) == 1 or 1.0 in model.scales, "scale 1 among them")
    _require(
        "scales",
        model.scales,
        len(model.scales) > 1 or (1 / model.scales[0]).is_integer(),
        "1, 0.5, 0.25, … where one stands alone",
    )
    rates = zoo.get_preset(model.model).rates
    _require(
        "head_rates",
        model.head_rates,
        model.head_rates is None or (len(model.head_rates) == len(rates) and min(model.head_rates) >= 1),
        f"{len(rates)} whole rates from 1",
    )
    _require("labels", data.labels, data.labels is None or data.dataset == "folder", "nothing unless --dataset=folder")
    _require("tile", judged.tile, judged.tile is None or judged.tile > multiple, f"a side above {multiple} pixels")
    _check_crop(config, multiple)
    single = [
        f"--{flag}"
        for section, field, flag in all_settings()
        if section == "crf" and getattr(config.crf, field.name) != field.default
    ]
    if judged.crf_preset and single:
        raise UserError(
            f"{', '.join(single)}: given beside --crf_preset={judged.crf_preset}, expected one or the other; give "
            "--crf_preset= (empty) to use single values."
        )


def _check_value(flag: str, value, field: dataclasses.Field) -> None:
    choices, valid = field.metadata.get("choices"), field.metadata.get("valid")
    if choices and value not in choices:
        raise UserError(f"--{flag}: got {value!r}, expected one of {', '.join(map(str, choices))}.")
    if valid and value is not None:
        _require(flag, value, valid.holds(value), valid.expected)


def _check_crop(config: ExperimentConfig, multiple: int) -> None:
    crop, model = config.data.crop_size, config.model
    if crop < multiple + 1 or crop % multiple != 1 % multiple:
        lower = max(crop - 1, multiple) // multiple * multiple + 1
        raise UserError(
            f"--crop_size: got {crop}, expected {multiple}n+1 (output stride {model.output_stride}, "
            f"{len(model.scales)} scale{'s' * (len(model.scales) > 1)}); take {lower} or {lower + multiple}."
        )


def _require(flag: str, value, holds: bool, expected: str) -> None:
    if not holds:
        raise UserError(f"--{flag}: got {value!r}, expected {expected}.")
