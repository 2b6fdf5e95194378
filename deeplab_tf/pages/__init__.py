"""Every HTML page and picture that people look at."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
