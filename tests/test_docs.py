"""The documentation: its code runs, its commands parse, its reference is whole, and it builds without an error and a fetch."""

import contextlib
import importlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from absl import flags as absl_flags
from PIL import Image

import deeplab_tf
from tests.doors_forked import run_door

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page):
    """(language, text) of every block."""
    return [match.groups() for match in BLOCK.finditer(page.read_text())]


def commands(text):
    """[door, argument, …] of every line that starts one of ours."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:2] == ["python", "-m"] and words[2].startswith("deeplab_tf."):
            yield [words[2].removeprefix("deeplab_tf."), *words[3:]]
        elif words and words[0].startswith("deeplab-"):
            yield [words[0].removeprefix("deeplab-").replace("-", "_"), *words[1:]]


def read_through(page, names):
    """Does what a page says: its Python in `names`, its commands, those with a prompt, in this process."""
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, str(page), "exec"), names)
        for door, *arguments in commands(text) if language == "console" else ():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", [door, *arguments])
                importlib.import_module(f"deeplab_tf.{door}").cli()


@pytest.mark.parametrize("pages", [("own_pictures", "python"), ("crf",)], ids=", ".join)
def test_the_tutorials_run(pages, tmp_path, capsys):
    with contextlib.chdir(tmp_path):
        for page in pages:
            read_through(DOCS / f"tutorials/{page}.md", {})
    assert "Traceback" not in capsys.readouterr().err


def test_the_page_of_scale_reckons_rightly():
    names = {}
    read_through(DOCS / "scale.md", names)
    page = (DOCS / "scale.md").read_text()
    for workers, hours in re.findall(r"^\| ([\d,]+) \| ([\d.]+)", page, re.M):
        assert float(hours) == pytest.approx(names["worker_hours"] / int(workers.replace(",", "")), rel=0.02)
    row = re.search(r"\| resnet101_aspp \|.*", (ROOT / "README.md").read_text())[0].split("|")
    assert float(row[5]) == names["rate"], "the README's rate of resnet101_aspp is another now"


def test_the_sheet_of_scenes_is_todays(tmp_path):
    with contextlib.chdir(tmp_path):
        read_through(DOCS / "scenes.md", {})
    kept, made = (np.asarray(Image.open(folder / "scenes.jpg"), np.float32) for folder in (DOCS, tmp_path))
    assert kept.shape == made.shape and abs(kept - made).mean() < 1  # of 255: another JPEG encoder, no other scenes


def test_the_figures_are_todays(tmp_path):
    done = run_door("figures", "--only=2,3,4", f"--out={tmp_path}")
    assert done.returncode == 0 and "figures 2, 3, 4: " in done.stdout, done.stderr[-2000:]
    kept = sorted((DOCS / "pictures").glob("figure_*.png"))
    assert [path.name for path in kept] == ["figure_2.png", "figure_3.png", "figure_4.png"]
    for path in kept:
        ours, made = (np.asarray(Image.open(one).convert("RGB"), np.float32) for one in (path, tmp_path / path.name))
        assert ours.shape == made.shape and abs(ours - made).mean() < 1  # of 255: another Pillow, no other figure
        assert path.stat().st_size < 150_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_parse_and_links_lead_somewhere(page):
    text = page.read_text()
    for door, *arguments in (command for _, block in blocks(page) for command in commands(block)):
        module = importlib.import_module(f"deeplab_tf.{door}")
        if hasattr(module, "define"):
            flags = absl_flags.FlagValues()
            flags.set_gnu_getopt(True)
            module.define(flags)
            with contextlib.chdir(ROOT):
                flags([door, *(argument for argument in arguments if "…" not in argument)])
    for name in re.findall(r"deeplab-([a-z-]+)", text):
        assert name == "NAME" or (ROOT / f"deeplab_tf/{name.replace('-', '_')}.py").exists(), name
    for path in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (page.parent / path).exists(), path


def test_the_reference_has_every_public_name():
    listed = set(re.findall(r"^::: [\w.]+\.(\w+)$", (DOCS / "reference.md").read_text(), re.M))
    assert set(deeplab_tf._PLACES) <= listed


def test_it_builds_without_an_error_and_is_read_without_a_fetch(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"?(?:https?:)?//[^\"> ]+", page.read_text())
        assert not fetched, f"{page.name}: {fetched}"


def test_the_readmes_results_are_the_experiments():
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(experiments/\w+\.flags)` \|.*?\| ([\d.]+) / ([\d.]+) % \|", readme, re.M)
    assert len(rows) >= 4
    for path, *figures in rows:
        measured = re.search(r"Measured: ([\d.]+) % before,\s+(?:#\s+)?([\d.]+) %", (ROOT / path).read_text()).groups()
        assert [f"{float(value):.1f}" for value in measured] == figures, path


def test_the_readmes_speed_table_is_that_of_the_kept_figures(monkeypatch):
    from benchmarks import peers

    monkeypatch.chdir(ROOT)
    peers.main(["--into=README.md", "--check"])
    other = json.loads(peers.KEPT.read_text())
    other["rows"][0]["ratio"] += 1
    monkeypatch.setattr(json, "loads", lambda _: other)
    with pytest.raises(deeplab_tf.UserError, match="README.md: its table is stale"):
        peers.main(["--into=README.md", "--check"])


def test_the_readmes_networks_are_the_zoo():
    table = (ROOT / "README.md").read_text().partition("## Networks")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| auto \| [\d,]+ \| (\d+) \|", table, re.M)
    assert dict(rows).keys() == set(deeplab_tf.list_models())
