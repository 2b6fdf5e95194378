"""What is installed: commands, files, versions, names; and that the lists of them agree with the tree."""

import ast
import configparser
import importlib
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import deeplab_tf

ROOT = pathlib.Path(deeplab_tf.__file__).parents[1]
DOORS = sorted(path.stem for path in (ROOT / "deeplab_tf").glob("*.py") if "__main__" in path.read_text())

if not (ROOT / "setup.cfg").exists():
    pytest.skip("not a source tree", allow_module_level=True)


@pytest.fixture(scope="module")
def settings():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(text):
    return [line for line in text.strip().splitlines() if line and not line.startswith("#")]


def test_every_door_but_the_benchmark_is_a_command(settings):
    commands = dict(line.split(" = ") for line in lines(settings["options.entry_points"]["console_scripts"]))
    assert commands == {f"deeplab-{door.replace('_', '-')}": f"deeplab_tf.{door}:cli" for door in DOORS if door != "benchmark"}


@pytest.mark.parametrize("door", [door for door in DOORS if door != "benchmark"])
def test_a_command_speaks_of_itself(door, monkeypatch, capsys):
    module = importlib.import_module(f"deeplab_tf.{door}")
    own = f"deeplab-{door.replace('_', '-')}"
    for program, name, other in ((f"/usr/bin/{own}", own, "python -m"), ("train.py", f"python -m deeplab_tf.{door}", own)):
        monkeypatch.setattr(sys, "argv", [program, "--help"])
        module.cli()
        usage = capsys.readouterr().out
        assert usage.startswith(module.__doc__.splitlines()[0].split("`")[0]) and other not in usage
        if "python -m" in module.__doc__:
            assert name in usage


def test_the_version_is_the_distributions_or_the_trees(settings, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"{name} 1.2.3")
    assert deeplab_tf.__version__ == "deeplab_tf 1.2.3"

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert deeplab_tf.__version__ == settings["metadata"]["version"]


def test_the_version_stands_where_releases_are_told_of(settings):
    version = settings["metadata"]["version"]
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_lowest_versions_are_those_of_the_requirements(settings):
    lowest = dict(line.split("==") for line in lines((ROOT / "constraints/lowest.txt").read_text()))
    required = (re.match(r"([\w-]+)(?:~=|>=)([\w.]+)", line) for line in lines(settings["options"]["install_requires"]))
    found = {match[1]: match[2] for match in required}
    assert found.keys() == lowest.keys()
    for name, version in found.items():
        assert lowest[name] == version or lowest[name].startswith(f"{version}."), name


def test_type_checkers_see_the_names_that_the_interpreter_finds():
    tree = ast.parse((ROOT / "deeplab_tf/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"deeplab_tf.{place}" for name, place in deeplab_tf._PLACES.items()}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Names of what an sdist and a wheel of the tree hold; the wheel is built without a compiler, which takes a second."""
    pytest.importorskip("wheel")
    folder = tmp_path_factory.mktemp("build")
    tree = folder / "tree"
    shutil.copytree(ROOT / "deeplab_tf", tree / "deeplab_tf", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    shutil.copytree(ROOT / "experiments", tree / "experiments", ignore=shutil.ignore_patterns("results"))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    missing = str(folder / "no-compiler")
    command = [sys.executable, "setup.py", "-q", "sdist", f"--dist-dir={folder}", "bdist_wheel", f"--dist-dir={folder}"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env={**os.environ, "CC": missing, "CXX": missing})
    assert done.returncode == 0, done.stderr[-2000:]
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist, zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return {name.partition("/")[2] for name in sdist.getnames()}, set(wheel.namelist())


def test_the_sdist_holds_what_builds(distributions):
    sdist, _ = distributions
    native = {f"deeplab_tf/crf/native/{path.name}" for path in (ROOT / "deeplab_tf/crf/native").iterdir()}
    assert native | {"setup.py", "pyproject.toml", "LICENSE", "CITATION.cff", "experiments/small.flags"} <= sdist


def test_the_wheel_holds_the_package_with_templates_types_and_licence(distributions):
    _, wheel = distributions
    package = ROOT / "deeplab_tf"
    files = [path for suffix in ("py", "html", "css", "js") for path in package.rglob(f"*.{suffix}")]
    ours = {path.relative_to(ROOT).as_posix() for path in files}
    assert ours | {"deeplab_tf/py.typed"} <= wheel
    assert any(".dist-info/" in name and name.endswith("/LICENSE") for name in wheel)
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"deeplab_tf"}
