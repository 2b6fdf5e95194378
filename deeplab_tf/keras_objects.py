"""What Keras must know to load a model of this package: our layers, losses, solver and schedules, registered by name.

They register themselves where they are defined, which loads TensorFlow; `import deeplab_tf` must not. So they are imported
with Keras: at once where it is there already, else right after somebody imports it. Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys

MODULES = (
    "layers", "models.mean_field_crf", "models.multi_scale", "training.losses", "training.mean_iou", "training.schedules",
    "training.solver",
)  # fmt: skip
"""Where `keras.saving.register_keras_serializable` stands."""


def register() -> None:
    """Imports all that registers itself; nothing where Keras runs on another backend than TensorFlow."""
    if importlib.import_module("keras").backend.backend() == "tensorflow":
        for name in MODULES:
            importlib.import_module(f"deeplab_tf.{name}")


def register_with_keras() -> None:
    """`register` now, or once Keras is imported."""
    if "keras" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Waits for `import keras`; goes as soon as it comes."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def load_and_register(module):
                load(module)
                register()

            spec.loader.exec_module = load_and_register
        return spec
