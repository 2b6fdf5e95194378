"""The one room where a config meets the library: settings, flags, recipes, a run's folder, and what each door calls."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
