"""Runs the CRF where NumPy is the only other package: `python numpy_alone.py [native]`; "native" asks for the engine."""

import importlib.abc
import pkgutil
import sys
import tempfile

import numpy as np

ALLOWED = {*sys.stdlib_module_names, "numpy", "deeplab_tf"}


class OnlyNumPy(importlib.abc.MetaPathFinder):
    """Lets nothing else be found."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"no module named {name!r} here", name=name)


def check(backend: str) -> None:
    import deeplab_tf as dl
    from deeplab_tf.crf.feature_crf import FeatureCRF, PairwiseKernel
    from deeplab_tf.crf.filtering import GaussianFilter
    from deeplab_tf.crf.pydensecrf import densecrf
    from deeplab_tf.crf.scores import load_scores, save_scores

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3), np.uint8)
    probs = rng.dirichlet(np.ones(4), (20, 30)).astype(np.float32)
    refined = dl.DenseCRF(backend=backend)(image, probs)
    assert refined.shape == probs.shape and abs(refined.sum(-1) - 1).max() < 1e-4
    dl.DenseCRF.from_labels(image, probs.argmax(-1), backend=backend)
    features = rng.normal(size=(600, 4))
    GaussianFilter(features, backend=backend)(probs.reshape(-1, 4))
    FeatureCRF([PairwiseKernel(features)], backend=backend).infer(probs.reshape(-1, 4), 2)
    densecrf.DenseCRF2D(30, 20, 4)
    with tempfile.TemporaryDirectory() as folder:
        save_scores(f"{folder}/scores.npz", probs)
        assert abs(load_scores(f"{folder}/scores.npz") - probs).max() < 2e-3


if __name__ == "__main__":
    sys.meta_path.insert(0, OnlyNumPy())
    import deeplab_tf.crf

    for module in pkgutil.iter_modules(deeplab_tf.crf.__path__):
        if module.name != "_engine":
            __import__(f"deeplab_tf.crf.{module.name}")
    from deeplab_tf.crf.engines import engine_missing

    missing = engine_missing()
    if "native" in sys.argv[1:] and missing:
        raise SystemExit(missing)
    for backend in ["numpy"] if missing else ["numpy", "native"]:
        check(backend)
    print("numpy alone:", missing or "engine")
