"""The networks of the paper: trunks, heads, multi-scale fusion."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__, features="deeplab")
