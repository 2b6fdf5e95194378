"""Trained networks as artefacts that need none of this package."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
