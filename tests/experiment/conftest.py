"""A run's folder without a training: what evaluation and search need of one."""

import numpy as np
import pytest
from PIL import Image

CLASSES = ("sky", "road", "car")


@pytest.fixture(scope="session")
def _weights(tmp_path_factory):
    """(config's settings, arrays of a narrow network whose last layer tells the three classes apart by brightness)."""
    from deeplab_tf.experiment.config import ExperimentConfig
    from deeplab_tf.experiment.network import model_of
    from deeplab_tf.training.checkpoints import state_variables

    settings = {"model": "vgg16_largefov", "width": 0.05, "dataset": "folder", "crop_size": 65, "crf_iterations": 2}
    model = model_of(ExperimentConfig.create(**settings), len(CLASSES))
    return settings, {name: np.asarray(variable) for name, variable in state_variables(model).items()}


@pytest.fixture
def make_run(tmp_path, _weights):
    """(name, pictures) -> the folder of an untrained run on a user's own pictures, which lie in tmp_path/data."""
    from deeplab_tf.experiment.config import ExperimentConfig
    from deeplab_tf.experiment.run_folder import dataset_of, save_description

    def make(name="run", pictures=4):
        data, run = tmp_path / "data", tmp_path / name
        settings, arrays = _weights
        (run / "checkpoints").mkdir(parents=True)
        random = np.random.default_rng(0)
        for kind in ("images", "masks"):
            (data / kind / "val").mkdir(parents=True, exist_ok=True)
        for k in range(pictures):
            label = np.kron(random.integers(0, 3, (4, 5)), np.ones((18, 17), int))[:70, :81].astype(np.uint8)
            image = label[..., None] * 90 + random.integers(0, 60, (70, 81, 3))
            Image.fromarray(image.astype(np.uint8)).save(data / f"images/val/p{k}.png")
            Image.fromarray(label).save(data / f"masks/val/p{k}.png")
        (data / "labels.txt").write_text("\n".join(CLASSES) + "\n")
        config = ExperimentConfig.create(**settings, data_dir=str(data))
        save_description(run, config, dataset_of(config))
        np.savez(run / "checkpoints" / "step-00000001.npz", **arrays)
        return run

    return make
