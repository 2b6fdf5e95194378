"""The one room where a config meets the library: settings, flags, recipes, a run's folder, and what each door calls."""

from deeplab_tf.submodules import on_demand

# `deeplab_tf.experiment.train(config, workdir)` and `.evaluate(config, workdir)` are what the doors `train` and `eval` call.
__getattr__ = on_demand(__name__, train="trainer", evaluate="evaluator")
