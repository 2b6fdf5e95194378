"""A trained network's CRF: none where it is off, and a word where NumPy serves in the engine's place."""

import logging

from deeplab_tf.crf import engines
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.network import crf_of


def test_without_the_engine_the_log_says_what_it_costs(monkeypatch, caplog):
    def missing():
        raise ImportError("no module named _engine")

    assert crf_of(ExperimentConfig.create(crf=False)) is None
    monkeypatch.setattr(engines, "engine", missing)
    with caplog.at_level(logging.WARNING):
        assert crf_of(ExperimentConfig()).backend == "numpy"
    (said,) = caplog.messages
    assert "10 to 30 times slower" in said and "no module named _engine" in said


def test_with_the_engine_nothing_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        crf_of(ExperimentConfig())
    assert not caplog.messages
