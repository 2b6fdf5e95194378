"""Who may import whom, held by walking the imports; and what importing the package costs."""

import ast
import pathlib
import subprocess
import sys

import pytest

import deeplab_tf

ROOT = pathlib.Path(deeplab_tf.__file__).parent
DOORS = sorted(path.stem for path in ROOT.glob("*.py") if "__main__" in path.read_text())
LIGHT = [
    "deeplab_tf",
    "deeplab_tf.experiment.config",
    "deeplab_tf.experiment.flags",
    "deeplab_tf.experiment.run_folder",
    "deeplab_tf.experiment.recipes",
    "deeplab_tf.datasets.specs",
    "deeplab_tf.datasets.samples",
    "deeplab_tf.crf.params",
    "deeplab_tf.metrics.confusion_matrix",
    "deeplab_tf.models.zoo",
    *(f"deeplab_tf.{door}" for door in DOORS),
]
GROUND = {"errors", "extras", "keras_objects", "locks", "published", "submodules", "whole_files"}
ALLOWED = {  # folder -> parts of the package that it may import beside itself and the ground; no arrow runs back up
    "layers": set(),
    "metrics": set(),
    "crf": {"metrics"},
    "datasets": set(),
    "weights": set(),
    "models": {"layers", "weights", "crf"},
    "pages": {"metrics", "datasets"},
    "refining": {"crf", "weights", "metrics"},
    "inference": {"layers", "models", "datasets", "crf", "pages"},
    "illustrations": {"layers", "models", "datasets", "crf", "metrics", "pages"},
    "evaluation": {"layers", "models", "datasets", "weights", "crf", "metrics", "inference", "pages"},
    "serving": {"layers", "models", "datasets", "inference", "crf", "pages"},
    "training": {"layers", "models", "datasets", "weights", "crf", "metrics", "pages"},
    "experiment": {
        "models",
        "datasets",
        "weights",
        "crf",
        "inference",
        "pages",
        "training",
        "evaluation",
        "serving",
        "illustrations",
    },
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_a_folder_imports_only_what_is_below_it(folder):
    for path in (ROOT / folder).rglob("*.py"):
        parts = {name.split(".")[1] for name in imported(path) if name.startswith("deeplab_tf.")}
        assert parts <= ALLOWED[folder] | {folder} | GROUND, f"{path.name}: {sorted(parts)}"


def test_every_folder_is_on_the_list():
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} == set(ALLOWED)


def test_only_flags_and_doors_know_absl_flags():
    for path in ROOT.rglob("*.py"):
        if any(name.startswith("absl") for name in imported(path)):
            assert path in {ROOT / "experiment" / "flags.py", *(ROOT / f"{door}.py" for door in DOORS)}, path


@pytest.mark.parametrize("name", ["experiment/config.py", "datasets/specs.py", "crf/params.py", "models/zoo.py"])
def test_standard_library_only(name):
    for module in imported(ROOT / name):
        top = module.split(".")[0]
        assert top in sys.stdlib_module_names or top == "deeplab_tf", module


def test_light_modules_do_not_load_tensorflow():
    code = f"import sys\nfor name in {LIGHT!r}: __import__(name)\nassert not {{'tensorflow', 'keras'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_doors_are_short():
    for door in DOORS:
        assert len((ROOT / f"{door}.py").read_text().splitlines()) <= 90, door


def test_every_public_name_is_there():
    for name in deeplab_tf.__all__:
        assert getattr(deeplab_tf, name) is not None
        assert name not in DOORS, f"{name} would be shadowed by the door of that name"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        deeplab_tf.no_such_name  # noqa: B018
