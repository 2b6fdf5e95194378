"""The two learning-rate policies of Table 2, as Keras schedules."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="deeplab_tf")
class Poly(keras.optimizers.schedules.LearningRateSchedule):
    """`base * (1 - step / steps) ** power`, every step; 0 from `steps` on."""

    def __init__(self, base: float, steps: int, power: float = 0.9):
        self.base, self.steps, self.power = base, steps, power

    def __call__(self, step):
        left = tf.maximum(self.steps - tf.cast(step, tf.int64), 0)  # whole numbers: exact up to the last step
        return self.base * tf.pow(tf.cast(left, tf.float32) / self.steps, self.power)

    def get_config(self):
        return {"base": self.base, "steps": self.steps, "power": self.power}


@keras.saving.register_keras_serializable(package="deeplab_tf")
class Step(keras.optimizers.schedules.LearningRateSchedule):
    """`base * gamma ** floor(step / step_size)`."""

    def __init__(self, base: float, step_size: int = 2000, gamma: float = 0.1):
        self.base, self.step_size, self.gamma = base, step_size, gamma

    def __call__(self, step):
        drops = tf.cast(tf.cast(step, tf.int64) // self.step_size, tf.float32)
        return self.base * tf.pow(self.gamma, drops)

    def get_config(self):
        return {"base": self.base, "step_size": self.step_size, "gamma": self.gamma}


def learning_rate(policy: str, *, base: float, steps: int, power: float, step_size: int, gamma: float):
    """The schedule called `policy`, "poly" or "step".

    Raises:
      ValueError: another policy.
    """
    if policy == "poly":
        return Poly(base, steps, power)
    if policy == "step":
        return Step(base, step_size, gamma)
    raise ValueError(f"policy: got {policy!r}, expected 'poly' or 'step'.")
