"""Parameters, presets and preset files."""

import dataclasses
import json

import pytest

from deeplab_tf.crf.params import NORMALIZATIONS, PRESETS, CrfParams, get_preset, load_preset, save_preset
from deeplab_tf.errors import UserError


@pytest.mark.parametrize(
    "values",
    [
        {"sigma_alpha": 0},
        {"sigma_beta": -1},
        {"sigma_gamma": float("nan")},
        {"w1": -1},
        {"w2": float("inf")},
        {"iterations": -1},
        {"iterations": 2.5},
        {"iterations": True},
        {"w1": "4"},
        {"sigma_alpha": None},
        {"normalization": "both"},
    ],
)
def test_refuses_values_out_of_range_by_name(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        CrfParams(**values)


def test_defaults_are_the_published_resnet():
    assert CrfParams() == CrfParams(4, 67, 3, 3, 1, 10, "symmetric")
    assert type(CrfParams(iterations=2.0).iterations) is int
    assert get_preset("resnet101_voc2012") == CrfParams(4, 67, 3, 3, 1, 10, "after")
    assert get_preset("vgg16_largefov_v1_voc2012") == CrfParams(4, 121, 5, 3, 3, 10, "after")
    with pytest.raises(UserError, match="resnet101_voc2012"):
        get_preset("resnet")


@pytest.mark.parametrize("name", PRESETS)
def test_preset_files_come_back(tmp_path, name):
    save_preset(tmp_path / "preset.json", PRESETS[name])
    assert load_preset(tmp_path / "preset.json") == PRESETS[name]
    assert [path.name for path in tmp_path.iterdir()] == ["preset.json"]


def test_every_parameter_tells_what_it_is():
    told = {field.name: field.metadata for field in dataclasses.fields(CrfParams)}
    assert all(one["help"].startswith("CRF: ") for one in told.values())
    assert "pixels" in told["sigma_alpha"]["help"] and "grey levels" in told["sigma_beta"]["help"]
    assert told["normalization"]["choices"] == NORMALIZATIONS and told["w1"]["choices"] is None


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"w3": 1}), json.dumps({"w1": -1})])
def test_refuses_broken_preset_files(tmp_path, content):
    path = tmp_path / "preset.json"
    path.write_text(content)
    with pytest.raises(UserError, match="preset.json"):
        load_preset(path)
    with pytest.raises(UserError, match="missing.json"):
        load_preset(tmp_path / "missing.json")
