"""The paper in miniature: its tables against the paper's and the files, verdicts, and the door, stopped and run again."""

import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from deeplab_tf import paper as door
from deeplab_tf.evaluation.parts import PICTURES, load_part
from deeplab_tf.experiment import paper_runs, paper_tables
from deeplab_tf.experiment.flags import run as run_door
from deeplab_tf.experiment.paper_claims import CLAIMS, QUICK, SAME, TABLES, runs_of
from deeplab_tf.experiment.paper_findings import FAILS, HOLDS, UNDECIDED, findings, judge, terms_of, verdict
from deeplab_tf.experiment.paper_runs import done_rows, trainings
from deeplab_tf.experiment.paper_text import MARKS, text_of

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "experiments/miniature"


def test_the_figures_beside_ours_are_those_of_the_papers_tables():
    published = {title.partition(":")[0]: rows for title, rows in paper_tables.TABLES.items()}
    for title, rows in TABLES.values():
        same = published[title.partition(":")[0]]
        assert [(row.before, row.after) for row in rows] == [(row.before, row.after) for row in same], title


@pytest.fixture
def all_trainings(monkeypatch):
    monkeypatch.chdir(ROOT)
    return trainings(runs_of(), 3, "runs/miniature", "experiments/miniature")


def test_every_run_has_its_file_and_every_file_is_run(all_trainings):
    assert {one.run for one in all_trainings} == {path.stem for path in FOLDER.glob("*.flags")}
    assert {*QUICK} <= {*runs_of()} and len(runs_of()) == len(set(runs_of()))
    assert runs_of(quick=True) == tuple(name for name in runs_of() if name in QUICK)


def test_what_others_start_from_is_trained_once_and_before_them(all_trainings):
    places = {(one.run, one.seed): place for place, one in enumerate(all_trainings)}
    started = {one.run: one.after for one in all_trainings}
    for one in all_trainings:
        assert one.run.startswith("pretraining") == (one.after is None or one.run == "pretraining_coco")
        if one.after:
            assert one.after.seed == 0 and places[one.after.run, 0] < places[one.run, one.seed]
            assert one.config.model.weights == f"{one.after.workdir}/trunk.npz"
    assert sum(one.run.startswith("pretraining") for one in all_trainings) == 3
    coco = [name for name, after in started.items() if after and after.run == "pretraining_coco"]
    assert coco == ["table4_coco", "table4_aug", "table4_largefov", "table4_aspp"]
    assert "pretraining_resnet50" not in {one.run for one in trainings(runs_of(["table1"]), 1, "runs", FOLDER)}


def test_the_papers_differences_are_those_of_its_figures():
    """Every claim that has a figure; the difference of two rows, or of a row after and before the CRF."""
    figures = {}
    for _, rows in TABLES.values():
        for row in rows:
            figures.setdefault(row.run, []).append((row.before, row.after))
    for claim in CLAIMS:
        if claim.paper is None:
            continue
        found = set()
        for before, after in figures[claim.better]:
            if claim.kind == "crf":
                found.add(None if after is None else round(after - before, 2))
            else:
                stage = 1 if claim.stage == "after" else 0
                found |= {round((before, after)[stage] - other[stage], 2) for other in figures[claim.than]
                          if None not in ((before, after)[stage], other[stage])}  # fmt: skip
        assert claim.paper in found, claim.text


def test_rows_of_a_table_have_equal_solvers_scenes_and_beginnings(all_trainings):
    of = {one.run: one for one in all_trainings if one.seed == 0}
    for table in ("table1", "table3", "table4"):
        assert len({of[run].config.solver for run in runs_of([table])}) == 1, table
    for table in ("table1", "table2", "table3"):
        assert {of[run].after.run for run in runs_of([table])} == {"pretraining_vgg16"}
    assert {of[run].config.data.dataset for run in runs_of()} == {"miniature_hard"}
    assert {of[run].config.data.train_split for run in runs_of()} == {"train"}


@pytest.mark.parametrize(("kind", "ends", "expected"), [
    ("order", (0.001, 0.02), HOLDS), ("order", (-0.02, -0.001), FAILS), ("order", (-0.001, 0.02), UNDECIDED),
    ("order", (0.0, 0.0), UNDECIDED), ("order", None, UNDECIDED), ("crf", (0.01, 0.02), HOLDS),
    ("boundary", (-0.1, 0.2), UNDECIDED),
    ("same", (-SAME, SAME), HOLDS), ("same", (0.0, 0.0), HOLDS), ("same", (SAME + 0.001, 0.1), FAILS),
    ("same", (0.0, 0.1), UNDECIDED),
])  # fmt: skip
def test_verdicts(kind, ends, expected):
    assert verdict(kind, ends, seeds=2) == expected
    of_one = verdict(kind, ends, seeds=1)
    assert of_one == (expected if expected == UNDECIDED else f"{expected} for this seed")


TINY = "--width=0.02\n--steps=4\n--batch_size=2\n--crop_size=65\n--gallery=0\n--save_every=1\n--crf_iterations=1\n"
CODE = """
import sys
from deeplab_tf.datasets import miniature_hard, miniature_parts
miniature_parts.SEEDS = {"train": (5_000_000, 4), "val": (6_000_000, 2)}
miniature_hard.SEEDS = {"train": (0, 4), "val": (3_000_000, 5), "pretrain": (4_000_000, 2)}
from deeplab_tf import paper
if __name__ == "__main__":
    paper.cli()
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Experiments of a few steps, and scenes that are few; the door is a file, as processes of its own import it again."""
    root = tmp_path_factory.mktemp("paper")
    (root / "experiments").mkdir()
    for path in FOLDER.glob("*.flags"):
        (root / "experiments" / path.name).write_text(f"--flagfile={path.relative_to(ROOT)}\n{TINY}")
    (root / "tiny_paper.py").write_text(CODE)
    return root


def flags_of(tiny):
    folders = {"experiments": tiny / "experiments", "runs": tiny / "runs", "data_dir": tiny / "data"}
    return [*(f"--{name}={folder}" for name, folder in folders.items()), "--only=table3", "--quick", "--seeds=1"]


def start(tiny, *flags):
    command = [sys.executable, tiny / "tiny_paper.py", *flags_of(tiny), *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_killed_door_goes_on_and_what_is_done_is_not_repeated(tiny, monkeypatch, capsys):
    checkpoints = tiny / "runs/pretraining_vgg16/seed-0/checkpoints"
    first = start(tiny, "--side_by_side=1")
    while not list(checkpoints.glob("step-*.npz")) and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    again = start(tiny, "--side_by_side=2")
    printed, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert "ASPP-L is better than LargeFOV" in printed and "table3_aspp_l 0" in said
    results = {path: path.stat().st_mtime_ns for path in (tiny / "runs").rglob("result.json")}
    assert len(results) == 3
    assert "resuming" in (tiny / "runs/pretraining_vgg16/seed-0/log.txt").read_text()
    assert "conv1_1" in (tiny / "runs/table3_aspp_l/seed-0/log.txt").read_text()  # what was taken over
    monkeypatch.chdir(ROOT)
    run_door(door.main, door.define, ["paper", *flags_of(tiny)])
    assert capsys.readouterr().out == printed
    assert {path: path.stat().st_mtime_ns for path in results} == results
    kept = tiny / "kept"
    run_door(door.main, door.define, ["paper", *flags_of(tiny), f"--out={kept}"])
    shutil.move(tiny / "runs", tiny / "away")
    run_door(door.main, door.define, ["paper", *flags_of(tiny), f"--runs={kept}", "--notrain"])
    assert (kept / "summary.json").read_bytes() == (tiny / "away/summary.json").read_bytes()
    shutil.move(tiny / "away", tiny / "runs")
    _look_at_what_was_found(tiny)


def test_sigterm_is_handed_on_and_the_handler_comes_back(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(paper_runs, "check_split", lambda *_: None)  # no scenes are wanted
    wanted = trainings(["table3_aspp_l"], 1, tmp_path / "runs", tiny / "experiments", tiny / "data")
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        paper_runs.run_missing(wanted, 1)
    assert not multiprocessing.active_children() and signal.getsignal(signal.SIGTERM) == before


def _look_at_what_was_found(tiny):
    summary = json.loads((tiny / "runs/summary.json").read_text())
    assert {*summary["runs"]} == {"table2_poly_10_20k", "table3_aspp_l"}
    result = json.loads((tiny / "runs/table3_aspp_l/seed-0/eval/val/result.json").read_text())
    row = summary["runs"]["table3_aspp_l"]
    assert row["before"]["mean_iou"] == pytest.approx(result["mean_iou"])
    assert row["after"]["by_seed"] == pytest.approx([result["crf"]["mean_iou"]]) and row["seeds"] == [0]
    page, text = (tiny / "runs/paper.html").read_text(), (tiny / "runs/tables.md").read_text()
    assert "ASPP-L is better than LargeFOV" in page and "<svg" in page and "http" not in page.replace("http://www.w3.org", "")
    assert text == text_of(summary) and "| 4x4, rate 4 | 59.80 / 63.74 |  |  |  |" in text
    near = load_part(tiny / "runs/table3_aspp_l/seed-0/eval/val" / PICTURES).stages["after"]
    assert (near["near"] <= near["classes"]).all() and (near["near"].sum(0) == _band(near["rings"], 5)).all()


def _band(rings, width):
    matrix = rings[1 : width + 1].sum(axis=0)
    return [matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)]


def test_a_claim_between_a_run_and_itself_is_undecided(tiny):
    parts = {"x": {0: load_part(tiny / "runs/table3_aspp_l/seed-0/eval/val" / PICTURES)}}
    claim = CLAIMS[0]._replace(better="x", than="x")
    assert judge(claim, parts)["verdict"] == UNDECIDED and judge(claim, parts)["difference"] == 0
    assert judge(claim._replace(than="not run"), parts) is None
    assert sum(term.sign for term in terms_of(claim._replace(kind="boundary"))) == 0


def test_other_settings_in_the_folder_are_refused(tiny, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    flags = [f"--experiments={tiny / 'experiments'}", f"--runs={tiny / 'runs'}", f"--data_dir={tiny / 'data'}", "--notrain"]
    path = tiny / "experiments/table3_aspp_l.flags"
    path.write_text(path.read_text() + "--base_learning_rate=0.5\n")
    assert refused(capsys, *flags).startswith(f"error: {tiny / 'runs/table3_aspp_l/seed-0'} holds the run of other settings")
    path.unlink()
    assert "no such flags file" in refused(capsys, *flags)


def test_what_the_user_gets_wrong(tmp_path, capsys):
    assert "--only: got 'table5'" in refused(capsys, "--only=table5")
    assert "summary.json: cannot be read" in refused(capsys, f"--out={tmp_path}", f"--into={tmp_path / 'page.md'}")
    (tmp_path / "summary.json").write_text("[]")
    assert "summary.json: cannot be read" in refused(capsys, f"--out={tmp_path}", f"--into={tmp_path / 'page.md'}")


def test_a_stale_table_is_told_and_mended(tmp_path, capsys):
    (tmp_path / "summary.json").write_text('{"runs": {}, "claims": []}')
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nbehind\n")
    flags = [f"--out={tmp_path}", f"--into={page}"]
    assert "stale" in refused(capsys, *flags, "--check") and "old" in page.read_text()
    run_door(door.main, door.define, ["paper", *flags])
    run_door(door.main, door.define, ["paper", *flags, "--check"])
    text = page.read_text()
    assert text.startswith("before\n<!-- miniature: begin -->\n**Table 3") and text.endswith("-->\nbehind\n")


def refused(capsys, *flags):
    with pytest.raises(SystemExit) as stopped:
        run_door(door.main, door.define, ["paper", *flags])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_the_kept_findings_are_those_of_the_kept_counts_and_of_todays_settings(monkeypatch):
    monkeypatch.chdir(ROOT)
    kept = ROOT / "experiments/results/miniature"
    rows = done_rows(3, kept, FOLDER)
    assert json.loads(json.dumps(findings(rows))) == json.loads((kept / "summary.json").read_text())
    for one in rows:
        assert str(ROOT) not in (one.workdir / "config.json").read_text()


def test_the_table_of_the_documentation_is_todays():
    kept = ROOT / "experiments/results/miniature/summary.json"
    assert paper_tables.put_into(ROOT / "docs/results.md", text_of(json.loads(kept.read_text())), check=True, marks=MARKS)
