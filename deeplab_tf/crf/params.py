"""The parameters of the dense CRF, by the paper's names, and the published values.

Energy (section 3.3, equation 3): -log P(x_i) for every pixel, and for every pair of pixels with different labels

    w1 exp(-|p_i - p_j|^2 / 2 sigma_alpha^2 - |I_i - I_j|^2 / 2 sigma_beta^2) + w2 exp(-|p_i - p_j|^2 / 2 sigma_gamma^2)

with p the position in pixels and I the RGB colour in 0..255.
"""

import dataclasses
import json
import math
import os
import pathlib

from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing

NORMALIZATIONS = ("symmetric", "after", "before", "none")


def _setting(default, help, choices=None):
    """A field with what its flag needs to know."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclasses.dataclass(frozen=True)
class CrfParams:
    """Weights and widths of the two kernels; the defaults are the published values of the ResNet-101 on VOC 2012, with
    pydensecrf's normalisation (`get_preset` has the published one).

    Attributes:
        w1: weight of the bilateral kernel, >= 0.
        sigma_alpha: position width of the bilateral kernel, pixels, > 0.
        sigma_beta: colour width of the bilateral kernel, grey levels of 0..255, > 0.
        w2: weight of the position kernel, >= 0.
        sigma_gamma: width of the position kernel, pixels, > 0.
        iterations: mean field iterations, >= 0 (the paper: 10).
        normalization: "symmetric" divides by the square root of the kernel's row sum on both sides of the filter
            (pydensecrf's default), "after" by the row sum behind it (the published Caffe code), "before" in front of
            it, "none" not at all (pydensecrf's NO_NORMALIZATION).

    Raises:
        ValueError: a value out of its range, named.
    """

    w1: float = _setting(4.0, "CRF: weight of the bilateral kernel, which looks at position and colour")
    sigma_alpha: float = _setting(67.0, "CRF: position width of the bilateral kernel, pixels")
    sigma_beta: float = _setting(3.0, "CRF: colour width of the bilateral kernel, grey levels of 0..255")
    w2: float = _setting(3.0, "CRF: weight of the position kernel, which smooths")
    sigma_gamma: float = _setting(1.0, "CRF: width of the position kernel, pixels")
    iterations: int = _setting(10, "CRF: mean field iterations")
    normalization: str = _setting("symmetric", "CRF: where the kernels' row sums divide", NORMALIZATIONS)

    def __post_init__(self):
        for name in ("w1", "w2"):
            _check_number(name, getattr(self, name), "a number >= 0", lambda value: value >= 0)
        for name in ("sigma_alpha", "sigma_beta", "sigma_gamma"):
            _check_number(name, getattr(self, name), "a number > 0", lambda value: value > 0)
        _check_number("iterations", self.iterations, "a whole number >= 0", lambda value: value >= 0 and value == int(value))
        object.__setattr__(self, "iterations", int(self.iterations))  # 10.0 of a preset file counts as 10
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"CRF normalization: got {self.normalization!r}, expected one of {', '.join(NORMALIZATIONS)}.")


def _check_number(name: str, value, expected: str, holds) -> None:
    number = isinstance(value, (int, float)) or hasattr(value, "__float__")
    if not number or isinstance(value, (bool, str)) or not math.isfinite(value) or not holds(value):
        raise ValueError(f"CRF parameter {name}: got {value!r}, expected {expected}.")


# Sources: the published test_crf scripts of each model; vgg16 v2 is a third party's search, template the script's own. These
# were found with the published Caffe code, which normalises after the filter. The last two refine masks and class activation
# maps with pydensecrf, which normalises on both sides: jiwoon-ahn/irn, misc/imutils.py; jiwoon-ahn/psa, tool/imutils.py.
PRESETS = {
    "resnet101_voc2012": CrfParams(w1=4, sigma_alpha=67, sigma_beta=3, w2=3, sigma_gamma=1, normalization="after"),
    "vgg16_voc2012": CrfParams(w1=4, sigma_alpha=65, sigma_beta=3, w2=2, sigma_gamma=2, normalization="after"),
    "vgg16_largefov_v1_voc2012": CrfParams(w1=4, sigma_alpha=121, sigma_beta=5, w2=3, sigma_gamma=3, normalization="after"),
    "template": CrfParams(w1=4, sigma_alpha=49, sigma_beta=5, w2=3, sigma_gamma=3, normalization="after"),
    "irn": CrfParams(w1=10, sigma_alpha=50, sigma_beta=5, w2=3, sigma_gamma=3),
    "affinitynet": CrfParams(w1=10, sigma_alpha=80, sigma_beta=13, w2=3, sigma_gamma=3),
}


def get_preset(name: str) -> CrfParams:
    """The published parameters of one model.

    Raises:
        UserError: no such preset; the message lists them.
    """
    if name not in PRESETS:
        raise UserError(f"CRF preset: got {name!r}, expected one of {', '.join(PRESETS)} or the path of a preset file.")
    return PRESETS[name]


def save_preset(path: str | os.PathLike, params: CrfParams) -> None:
    """Write `params` as JSON, whole or not at all.

    Raises:
        UserError: the folder or the disk refuses.
    """
    with replacing(path) as partial:
        partial.write_text(preset_text(params))


def preset_text(params: CrfParams) -> str:
    """What a preset file holds."""
    return json.dumps(dataclasses.asdict(params), indent=2) + "\n"


def load_preset(path: str | os.PathLike) -> CrfParams:
    """Read a preset file written by `save_preset` or by the search.

    Raises:
        UserError: the file is missing, is no JSON object, or holds an unknown name or a value out of range.
    """
    try:
        values = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"CRF preset file {path}: cannot be read as JSON ({error}); write it with deeplab_tf.crf_search."
        ) from error
    names = [field.name for field in dataclasses.fields(CrfParams)]
    if not isinstance(values, dict) or not set(values) <= set(names):
        raise UserError(
            f"CRF preset file {path}: got {_outline(values)}, expected a JSON object with names among {', '.join(names)}."
        )
    try:
        return CrfParams(**values)
    except ValueError as error:
        raise UserError(f"CRF preset file {path}: {error}") from error


def _outline(values) -> str:
    return f"the names {', '.join(map(str, values))}" if isinstance(values, dict) else f"a {type(values).__name__}"
