"""Trained networks at work: artefacts that need none of this package, pipelines, the page."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__, map_pictures="tf_data")
