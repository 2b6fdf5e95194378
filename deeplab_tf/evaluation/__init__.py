"""From a trained network to label maps, figures and a report."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
