"""The paper's figures, drawn from our layers, our zoo and judged runs; plain values in, a `Figure` out."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
