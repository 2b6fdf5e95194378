"""The tables against the headers of the experiments, blanks and stale files; and those of the documentation."""

import json
import pathlib
import re

import pytest

from deeplab_tf import tables as door
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.flags import run as run_door
from deeplab_tf.experiment.paper_tables import BEGIN, END, TABLES, put_into, read_results, tables

ROOT = pathlib.Path(__file__).parents[2]


def result(before, after, dataset="voc2012", **settings):
    return json.dumps({"dataset": dataset, "mean_iou": before, "crf": after and {"mean_iou": after}, "settings": settings})


def test_every_row_is_an_experiment_with_the_same_figures_in_its_header():
    for rows in TABLES.values():
        for row in rows:
            header = (ROOT / "experiments" / f"{row.run}.flags").read_text()
            expected = re.search(r"Expected: ([\d.]+) % mIoU", header)
            assert expected and float(expected.group(1)) == row.before, row.run
            with_crf = ROOT / "experiments" / f"{row.run}_crf.flags"
            if row.after is not None:
                where = with_crf.read_text() if with_crf.exists() else header
                assert f"{row.after:g}" in re.sub(r"(\.\d*?)0+\b", r"\1", where), row.run


def test_results_stand_beside_the_papers_and_what_was_not_run_is_blank(tmp_path):
    for name, text in {
        "table1_vgg16_largefov": result(0.6111, 0.6644),
        "table4_resnet101": result(0.70, None),
        "table3_vgg16_aspp_l": result(0.5, 0.6, max_images=3),
        "mine": result(0.4, 0.5),
    }.items():
        folder = tmp_path / "runs" / name / "eval" / "val"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(text)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.json").write_text(result(0.1, 0.1))  # the run is newer
    (tmp_path / "kept" / "camvid.json").write_text(result(0.5918, 0.6366))
    made = tables(read_results(tmp_path / "runs", tmp_path / "kept"))
    assert "| 3x3, rate 12 | 62.25 / 67.64 | 61.11 / 66.44 |" in made
    assert "| plain | 68.72 / – | 70.00 / – |" in made and "| ASPP-L | 68.96 / 71.57 |  |" in made
    assert "| `mine` | 40.0 / 50.0 |" in made and "| `camvid` | 59.2 / 63.7 |" in made


@pytest.mark.parametrize("text, message", [
    (result(0.4, 0.5, "folder"), "is of folder, expected voc2012 for the row table1_vgg16_largefov"),
    (result("0.4", None), "cannot be read as the result of an evaluation"),
])  # fmt: skip
def test_a_result_that_is_not_the_rows_is_refused(tmp_path, text, message):
    (tmp_path / "table1_vgg16_largefov.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_results(tmp_path / "none", tmp_path)


def test_a_stale_file_is_told_and_mended(tmp_path, capsys):
    page, runs = tmp_path / "page.md", f"--runs={tmp_path}"
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\nrest\n")
    command = ["tables", runs, f"--results={tmp_path}", f"--into={page}"]
    with pytest.raises(SystemExit) as stopped:
        run_door(door.main, door.define, [*command, "--check"])
    assert stopped.value.code == 2 and "stale" in capsys.readouterr().err and "old" in page.read_text()
    run_door(door.main, door.define, command)
    run_door(door.main, door.define, [*command, "--check"])
    text = page.read_text()
    assert text.startswith(f"# Title\n{BEGIN}\n**Table 1") and text.endswith(f"{END}\nrest\n") and "old" not in text
    page.write_text("no marks")
    with pytest.raises(SystemExit):
        run_door(door.main, door.define, command)
    assert "no place for the tables" in capsys.readouterr().err


def test_the_tables_of_the_documentation_are_todays():
    assert put_into(ROOT / "docs/results.md", tables(read_results(ROOT / "no runs", ROOT / "experiments/results")), check=True)
