"""Data sets: specs (label tables), sample lists, readers, augmentation and the tf.data pipeline.

Import the module you need: `sources` opens a split for training or evaluation, whether its folder holds files or TFDS
records; `specs` uses only the standard library.
"""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
