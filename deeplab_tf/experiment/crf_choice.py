"""Which CRF stands behind a network, and whether it is applied where nobody says. Light: the doors ask it."""

from __future__ import annotations

import os
import pathlib
import typing
from collections.abc import Collection, Mapping

from deeplab_tf.crf.params import CrfParams, get_preset, load_preset
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.results import read_result


def crf_params_of(config: ExperimentConfig) -> CrfParams:
    """The CRF's parameters: the preset, by name or file, where there is one."""
    preset = config.eval.crf_preset
    if not preset:
        return config.crf
    return load_preset(preset) if os.path.isfile(preset) else get_preset(preset)


class CrfChoice(typing.NamedTuple):
    """Whether the CRF is applied where the user does not say, and a line that says why."""

    use: bool
    why: str


def crf_by_evaluation(workdir: str | os.PathLike, split: str, crf: str) -> CrfChoice:
    """What the run's evaluation found of the CRF: it is left out where it made the set worse.

    Args:
      workdir: folder of the run.
      split: the evaluated split.
      crf: the CRF's parameters as text, `str(params)`; an evaluation of others says nothing of them.
    """
    result = read_result(pathlib.Path(workdir) / "eval" / split) or {}
    gain = (result.get("crf") or {}).get("gain")
    if not gain or gain["mean_iou"] is None:
        return CrfChoice(True, "the CRF is applied; eval tells whether it helps, --nocrf leaves it out")
    found = f"mean IoU {100 * gain['mean_iou']:+.1f} points on the {result['images']} pictures of {split}"
    if result["settings"].get("crf") != crf:
        return CrfChoice(True, f"the CRF is applied with other parameters than were evaluated ({found}); --nocrf leaves it out")
    if not gain["helps"]:
        return CrfChoice(False, f"the CRF is left out, as it does not help here ({found}); --crf applies it")
    losses = ", ".join(f"{name} {100 * gain['per_class_iou'][name]:+.1f}" for name in gain["harmed_classes"])
    harms = f", but it harms {losses}" if losses else ""
    return CrfChoice(True, f"the CRF is applied, as it helps here ({found}{harms}); --nocrf leaves it out")


def with_crf_as_evaluated(config: ExperimentConfig, workdir: str | os.PathLike) -> tuple[ExperimentConfig, str]:
    """The config of a run with the CRF on or off as its evaluation found, and a line that says why."""
    if not config.eval.crf:
        return config, "the CRF is left out, as the run's settings say; --crf applies it"
    use, why = crf_by_evaluation(workdir, config.data.eval_split, str(crf_params_of(config)))
    return config.replace(crf=use), why


def with_crf_inside(config: ExperimentConfig, about: Mapping, given: Collection[str] = ()) -> tuple[ExperimentConfig, str]:
    """The config with the CRF that an exported network carries, and a line that says which it is.

    Args:
      config: what `given` names is taken from here, and what the network says nothing of.
      about: of the network, `Segmenter.about`.
      given: settings of the CRF that the user gave; one of them, and the CRF is applied unless it is --nocrf. A preset takes
        the place of all parameters.
    """
    metadata = about.get("metadata", {})
    params = metadata.get("crf_params") or metadata.get("crf") or {}
    own = {} if "crf_preset" in given else {f"crf_{name}": value for name, value in params.items()}
    taken = {name: value for name, value in own.items() if name not in given}
    config = config.replace(**taken)
    if not given and "crf" in metadata:
        config = config.replace(crf=metadata["crf"] is not None)
    if not config.eval.crf:
        why = "--nocrf says" if "crf" in given else "the network was exported without; --crf applies it"
        return config, f"the CRF is left out, as {why}"
    whose = (
        "exported with the network"
        if taken and taken == own
        else ("of the flags, the others exported with the network" if taken else "of the flags, or the defaults")
    )
    return config, f"the CRF is applied with the parameters {whose}: {crf_params_of(config)}"
