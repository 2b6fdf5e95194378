"""The page on which one drops pictures and moves the CRF's parameters. Needs gradio (extra `web`)."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
