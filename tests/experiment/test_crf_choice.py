import dataclasses

import pytest

from deeplab_tf.crf.params import CrfParams
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.crf_choice import crf_params_of, with_crf_inside

INSIDE = CrfParams(w1=9, sigma_alpha=40, iterations=3)
CARRIED = {"crf": dataclasses.asdict(INSIDE), "crf_params": dataclasses.asdict(INSIDE)}
WITHOUT = CARRIED | {"crf": None}


@pytest.mark.parametrize("metadata, settings, applied, params, said", [
    (CARRIED, {}, True, INSIDE, "exported with the network"),
    ({"crf": CARRIED["crf"]}, {}, True, INSIDE, "exported with the network"),  # of an earlier version
    (CARRIED, {"crf": True}, True, INSIDE, "exported with the network"),
    (CARRIED, {"crf": False}, False, INSIDE, "as --nocrf says"),
    (CARRIED, {"crf_w1": 5.0}, True, dataclasses.replace(INSIDE, w1=5.0), "of the flags, the others exported with the network"),
    (CARRIED, {"crf_preset": "vgg16_voc2012"}, True, None, "of the flags, or the defaults"),
    (WITHOUT, {}, False, INSIDE, "exported without; --crf applies it"),
    (WITHOUT, {"crf": True}, True, INSIDE, "exported with the network"),
    (WITHOUT, {"crf_w1": 5.0}, True, dataclasses.replace(INSIDE, w1=5.0), "of the flags, the others exported with the network"),
    ({}, {}, True, CrfParams(), "of the flags, or the defaults"),
    ({}, {"crf_w1": 5.0}, True, CrfParams(w1=5.0), "of the flags, or the defaults"),
])  # fmt: skip
def test_the_crf_inside_an_exported_network(metadata, settings, applied, params, said):
    given = ExperimentConfig().replace(**settings)
    config, why = with_crf_inside(given, {"metadata": metadata}, list(settings))
    assert config.eval.crf == applied and crf_params_of(config) == (params or crf_params_of(given)) and said in why
    assert not applied or why.endswith(str(crf_params_of(config)))
