"""Weights into a model, with a check in both directions of what went where."""

import os

import numpy as np

from deeplab_tf.errors import UserError
from deeplab_tf.weights import growth, names, records, vgg_classifier
from deeplab_tf.weights.reading import read_weights
from deeplab_tf.weights.report import LoadReport


def load_weights(model, path: str | os.PathLike, *, seed: int = 0) -> LoadReport:
    """Loads a weights file into a model of the zoo, in place.

    The backbone must be covered in full, or nothing is changed and an error says what is missing. The head is
    taken as a whole or not at all: where one of its shapes differs (21 classes against K), all of it keeps the
    fresh values the model was built with, as do fc6 and fc7 where the file has none. ImageNet's fc6, fc7 are
    sub-sampled to the model's kernel and width (`vgg_classifier`); ResNet-50 weights grow into a ResNet-101
    (`growth`).

    Args:
        model: a zoo model, or a `MultiScale` around one.
        path: a `.caffemodel`, `.h5`, `.npz`, `.pth`, `.weights.h5`, `.keras` or TF-1 checkpoint, or the name of a
            weights record.
        seed: draws the 1,024 of 4,096 filters.

    Raises:
        UserError: no such file, a damaged or unknown one, or one that does not cover the backbone.
    """
    network = getattr(model, "network", model)
    variables = canonical_variables(network)
    record, file = records.resolve(path, "vgg" if "conv1_1/kernel" in variables else "resnet")
    source = read_weights(file)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    tensors, notes = dict(source.tensors), list(source.notes)
    for adapt in (growth.grow_resnet, vgg_classifier.fit_fully_connected):
        tensors, said = adapt(tensors, shapes, seed)
        notes += said
    _check_backbone(file, tensors, shapes, source.skipped)
    reinitialised, said = _reinitialised(tensors, shapes)
    notes += said
    loaded = tuple(name for name in variables if name not in reinitialised)
    for name in loaded:
        if not np.isfinite(tensors[name]).all():
            raise UserError(f"{file}: {name} holds values that are not finite; the file is damaged, fetch it again")
    for name in loaded:
        variables[name].assign(tensors[name].astype(np.float32))
    return LoadReport(
        loaded=loaded,
        skipped=(*(name for name in tensors if name not in loaded), *source.skipped),
        reinitialised=reinitialised,
        grown=growth.grown_variables(source.tensors, shapes),
        notes=(*notes, *(record.warnings() if record else ())),
    )


def fill(model, path: str | os.PathLike, expected: str, way_out: str) -> LoadReport:
    """`load_weights` for a network that is to be used as it is: what keeps fresh values was never trained.

    Args:
        model, path: as `load_weights` takes them.
        expected, way_out: for the sentence, what the file should hold and what to do.

    Raises:
        UserError: as `load_weights`, or the file leaves a variable as it was.
    """
    report = load_weights(model, path)
    if report.reinitialised:
        raise UserError(f"{path}: does not fill {report.reinitialised[0]}, expected {expected}; {way_out}.")
    return report


def canonical_variables(network) -> dict:
    """Canonical name to Keras variable: the last two components of the variable's path."""
    result = {}
    for variable in network.weights:
        name = "/".join(variable.path.split("/")[-2:])
        if name in result:
            raise ValueError(f"model {network.name}: two variables are named {name}; layer names must be unique")
        result[name] = variable
    return result


def _check_backbone(file, tensors: dict, shapes: dict, skipped: tuple[str, ...]) -> None:
    backbone = [name for name in shapes if names.is_backbone(name)]
    missing = [name for name in backbone if name not in tensors]
    if missing:
        raise UserError(
            f"{file}: covers {len(backbone) - len(missing)} of the {len(backbone)} backbone variables, expected"
            f" all; missing {_some(missing)}; not in the model {_some([*(n for n in tensors if n not in shapes), *skipped])};"
            " use the weights of this architecture"
        )
    extra = [name for name in tensors if names.is_residual_or_vgg(name) and name not in shapes]
    if extra:
        raise UserError(
            f"{file}: holds {len(extra)} backbone variables that the model has not, {_some(extra)}: a deeper network;"
            " use the weights of this architecture"
        )
    wrong = [name for name in backbone if tensors[name].shape != shapes[name]]
    if wrong:
        first = wrong[0]
        raise UserError(
            f"{file}: {first} has the shape {tensors[first].shape}, expected {shapes[first]}"
            f" ({len(wrong)} backbone variables differ); use the weights of this architecture and width"
        )


def _reinitialised(tensors: dict, shapes: dict) -> tuple[tuple[str, ...], list[str]]:
    """Variables outside the backbone that the file cannot fill; a head or layer is filled whole or not at all."""
    fits = {name: name in tensors and tensors[name].shape == shapes[name] for name in shapes}
    unfit = [name for name, fit in fits.items() if not fit]
    layers = {names.layer_of(name) for name in unfit}
    head_unfit = any(names.is_head(name) for name in unfit)
    result = tuple(name for name in shapes if names.layer_of(name) in layers or (head_unfit and names.is_head(name)))
    notes = [
        f"{name} is {tensors[name].shape} in the file and {shapes[name]} in the model: re-initialised"
        for name in unfit
        if name in tensors
    ]
    return result, notes


def _some(listed: list[str], limit: int = 3) -> str:
    if not listed:
        return "nothing"
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")
