"""One picture in, labels out: the network with the steps round it, tiles, label files."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
