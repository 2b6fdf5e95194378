"""Weights files of any origin into the models of the zoo; importing this package imports no TensorFlow."""

from deeplab_tf.submodules import on_demand
from deeplab_tf.weights.loading import load_weights
from deeplab_tf.weights.records import RECORDS, WeightsRecord, find_record
from deeplab_tf.weights.report import LoadReport

__all__ = ["RECORDS", "LoadReport", "WeightsRecord", "find_record", "load_weights"]

__getattr__ = on_demand(__name__)
