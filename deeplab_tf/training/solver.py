"""Caffe's SGD solver as the published nets used it: momentum, decay and rate with a multiplier a variable; and AdamW with
the same multipliers."""

from __future__ import annotations

import keras
import tensorflow as tf

HEAD_LAYERS = ("fc8_", "fc1_")  # the last layer of the VGG and of the ResNet nets, in their published names


def multipliers(variable, head_multiplier: float = 10.0) -> tuple[float, float]:
    """(rate multiplier, decay multiplier) of a trainable variable, as the published prototxts set them.

    Weights 1 and decay 1, biases 2 and decay 0; the last layer `head_multiplier` times that. Batch norm, where it is
    trained, has rate 1 and no decay.
    """
    layer, name = variable.path.split("/")[-2:]
    factor = head_multiplier if layer.startswith(HEAD_LAYERS) else 1.0
    if name == "kernel":
        return factor, 1.0
    return factor * (2.0 if name == "bias" else 1.0), 0.0


class _Multiplied:
    """What both solvers share: `multipliers` of every variable."""

    def build(self, variables):
        super().build(variables)
        self._multipliers = [multipliers(variable, self.head_multiplier) for variable in variables]

    def _multipliers_of(self, variable):
        return self._multipliers[self._get_variable_index(variable)]


@keras.saving.register_keras_serializable(package="deeplab_tf")
class CaffeSGD(_Multiplied, keras.optimizers.SGD):
    """`g += decay * decay_mult * w;  v = momentum * v + rate * rate_mult * g;  w -= v`.

    The rate is inside v (TF-1's Momentum keeps it outside, which differs whenever the rate changes), and the decay is
    of weights only (as a Keras `l2` it would count double).

    Args:
      learning_rate: a number or a schedule, see `deeplab_tf.training.schedules`.
      momentum, weight_decay: 0.9 and 5e-4 in the paper; None: no decay.
      head_multiplier: rate of the last layer over that of the others.
    """

    moments = 1  # that it keeps beside each weight

    def __init__(self, learning_rate=1e-3, momentum=0.9, weight_decay=5e-4, head_multiplier=10.0, name="caffe_sgd", **kwargs):
        super().__init__(learning_rate, momentum=momentum, name=name, **kwargs)
        # Not under Keras' name, by which its optimizers decay a second time, and biases and batch norm too.
        self.decay, self.head_multiplier = float(weight_decay or 0.0), head_multiplier

    def update_step(self, gradient, variable, learning_rate):
        # After the gradients of all replicas are summed: the decay counts once.
        rate_multiplier, decay_multiplier = self._multipliers_of(variable)
        # After the gradient, else the products of weight and momentum, which do without it, are made at the start of the
        # step and kept through it: 8 bytes a weight.
        with tf.control_dependencies([gradient]):
            gradient = tf.cast(gradient, variable.dtype)
            gradient = rate_multiplier * (gradient + self.decay * decay_multiplier * tf.convert_to_tensor(variable))
            super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"weight_decay": self.decay, "head_multiplier": self.head_multiplier}


@keras.saving.register_keras_serializable(package="deeplab_tf")
class AdamW(_Multiplied, keras.optimizers.Adam):
    """Adam with decoupled decay (Loshchilov and Hutter, 2019), `w -= rate * rate_mult * (decay * decay_mult * w + adam(g))`.

    For narrow networks from random weights, which it brings further in few steps than `CaffeSGD` (experiments/README.md).

    Args:
      learning_rate: a number or a schedule.
      momentum: beta_1; beta_2 is 0.999.
      weight_decay, head_multiplier: as in `CaffeSGD`.
    """

    moments = 2

    def __init__(self, learning_rate=5e-4, momentum=0.9, weight_decay=5e-4, head_multiplier=10.0, name="adamw", **kwargs):
        super().__init__(learning_rate, beta_1=momentum, name=name, **kwargs)
        self.decay, self.head_multiplier = float(weight_decay or 0.0), head_multiplier

    def update_step(self, gradient, variable, learning_rate):
        rate_multiplier, decay_multiplier = self._multipliers_of(variable)
        with tf.control_dependencies([gradient]):  # as in CaffeSGD
            rate = rate_multiplier * tf.cast(learning_rate, variable.dtype)
            self.assign_sub(variable, rate * self.decay * decay_multiplier * tf.convert_to_tensor(variable))
            super().update_step(gradient, variable, rate)

    def get_config(self):
        config = super().get_config()
        own = {"momentum": config.pop("beta_1"), "weight_decay": self.decay, "head_multiplier": self.head_multiplier}
        return config | own


OPTIMIZERS = {"sgd": CaffeSGD, "adamw": AdamW}


def decay_loss(variables, decay: float) -> tf.Tensor:
    """The penalty whose gradient the decay is, `decay / 2 * sum |w|^2` over kernels; float32 scalar, for the log."""
    kernels = [v for v in variables if multipliers(v)[1]]
    return decay * tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(v)) for v in kernels]) if kernels else tf.constant(0.0)
