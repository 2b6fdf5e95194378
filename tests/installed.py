"""A user's first minute with the installed package: `python installed.py`, outside the source tree; prints what it found.

`python installed.py light` leaves out commands and networks, for an environment with NumPy alone.
"""

import importlib.metadata
import pathlib
import subprocess
import sys

import numpy as np


def check_commands() -> int:
    """Every command answers --help under its own name, at once: none loads TensorFlow."""
    commands = importlib.metadata.entry_points(group="console_scripts")
    names = [command.name for command in commands if command.name.startswith("deeplab-")]
    assert "deeplab-train" in names, names
    for name in names:
        program = pathlib.Path(sys.executable).with_name(name)
        done = subprocess.run([program, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "python -m deeplab_tf" not in done.stdout, f"{name}: {done.stderr or done.stdout[:500]}"
    return len(names)


def check_files() -> None:
    """What is no Python came with it."""
    import deeplab_tf

    root = pathlib.Path(deeplab_tf.__file__).parent
    assert not (root.parent / "setup.py").exists(), f"{root} is the source tree, expected the installed package"
    assert (root / "py.typed").exists() and (root / "pages/templates/report.html").exists()
    assert deeplab_tf.__version__ == importlib.metadata.version("deeplab_tf")


def check_library() -> str:
    import deeplab_tf as dl

    assert "resnet101_aspp" in dl.list_models() and dl.get_dataset("voc2012").num_classes == 21
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (40, 50, 3), np.uint8)
    probs = random.dirichlet(np.ones(5), (40, 50)).astype(np.float32)
    crf = dl.DenseCRF()
    refined = crf(image, probs)
    assert refined.shape == probs.shape and abs(refined.sum(-1) - 1).max() < 1e-4
    return crf.backend


def check_network() -> None:
    import deeplab_tf as dl

    model = dl.build_model("vgg16_largefov", 3, width=0.05)
    probs = dl.segment(model, np.zeros((41, 57, 3), np.uint8))
    assert probs.shape == (41, 57, 3) and abs(probs.sum(-1) - 1).max() < 1e-4


if __name__ == "__main__":
    check_files()
    found = f"CRF engine: {check_library()}"
    if "light" not in sys.argv[1:]:
        check_network()
        found += f", networks, {check_commands()} commands"
    print(f"deeplab_tf {importlib.metadata.version('deeplab_tf')}: {found}")
