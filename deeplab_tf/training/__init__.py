"""Loss, solver, schedules, step, loop, checkpoints: what training is made of."""

from deeplab_tf.submodules import on_demand

__getattr__ = on_demand(__name__)
