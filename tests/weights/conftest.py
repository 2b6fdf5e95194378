"""Small nets of the zoo and files of them: an eighth of the published width."""

import numpy as np
import pytest

WIDTH = 0.125


@pytest.fixture(scope="session")
def small_model():
    """Builds a narrow zoo model whose batch norm statistics are random, so that every variable counts."""
    from deeplab_tf.models.deeplab import build_model

    def build(name, num_classes=21, *, width=WIDTH, seed=0, **options):
        model = build_model(name, num_classes, width=width, seed=seed, **options)
        random = np.random.default_rng(seed)
        for weight in model.weights:
            kind = weight.path.split("/")[-1]
            if kind in ("gamma", "moving_variance"):
                weight.assign(random.uniform(0.5, 1.5, weight.shape).astype(np.float32))
            elif kind in ("beta", "bias", "moving_mean"):
                weight.assign(0.1 * random.standard_normal(weight.shape).astype(np.float32))
        return model

    return build


@pytest.fixture(scope="session")
def picture():
    return np.random.default_rng(5).uniform(0, 255, (1, 49, 66, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def tensors_of():
    """Canonical name to array of a model."""
    from deeplab_tf.weights.loading import canonical_variables

    return lambda model: {name: np.array(variable) for name, variable in canonical_variables(model).items()}
