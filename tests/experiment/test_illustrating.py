"""The paper's figures from runs: what is drawn, what is left out and why, and that it is the same the second time."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import figures as door
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.evaluator import evaluate
from deeplab_tf.experiment.flags import run as run_door
from deeplab_tf.experiment.illustrating import FIGURES, NAMES, illustrate
from deeplab_tf.experiment.judged_run import JudgedRun
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix


def judged(run, save_scores=True, **settings):
    evaluate(load_config(run).replace(**{"trimap": "label_change", "gallery": 0} | settings), run, save_scores=save_scores)
    return run


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        run_door(door.main, door.define, ["figures", *map(str, arguments)])
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip()


def test_the_door_knows_the_figures():
    assert door.FIGURES == tuple(FIGURES) and door.RUNS.keys() == NAMES.keys()


def test_all_figures_of_runs_twice_the_same(make_run, tmp_path):
    one, other = judged(make_run("one")), judged(make_run("other"), save_scores=False, crf_w1=9.0)
    runs = {"largefov": one, "aspp_l": other, "resnet": other}
    page, drawn, left_out = illustrate(tmp_path / "a", runs)
    assert drawn == door.FIGURES and not left_out
    names = {f"figure_{number}.png" for number in drawn} | {"figure_10.svg", "index.html"}
    assert {path.name for path in page.parent.iterdir()} == names
    text = page.read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", text), "the page needs another file"
    for number in drawn:
        assert f"Figure {number}: " in text
        with Image.open(page.parent / f"figure_{number}.png") as picture:
            assert picture.width == 1000 and len(picture.convert("RGB").getcolors(1 << 20)) > 3
    for said in ("the median", "lowest mean IoU", f"{one} (vgg16_largefov)", f"ResNet: {other}"):
        assert said in text
    chart = (page.parent / "figure_10.svg").read_text().strip()
    assert chart.startswith("<svg xmlns=") and chart.count("<path") == 6 and "&lt;" not in chart
    again, *_ = illustrate(tmp_path / "b", runs)
    for name in names:
        assert (page.parent / name).read_bytes() == (again.parent / name).read_bytes(), name


def test_a_run_gives_what_its_evaluation_counted_kept_or_not(make_run):
    run = judged(make_run(pictures=3), crf_w1=9.0)
    kept = JudgedRun(run)
    shutil.copytree(run, run.parent / "bare")
    for folder in ("scores", "crf_labels"):
        shutil.rmtree(run.parent / "bare/eval/val" / folder)
    anew = JudgedRun(run.parent / "bare")
    assert kept.crf.params.w1 == 9.0  # as evaluated, not as the run has it
    for place in range(3):
        id, image, label = kept.picture(place)
        for stage in ("before", "after"):
            labels = kept.labels(stage, id, image)
            counts = ConfusionMatrix(3)
            counts.update(label, labels)
            assert counts.mean_iou() == pytest.approx(kept.picture_iou(stage)[place])
            assert (labels == anew.labels(stage, id, image)).mean() > 0.99  # kept scores are rounded


def test_what_is_left_out_says_what_it_needs(make_run, tmp_path):
    bare, plain = make_run("bare"), judged(make_run("plain"), crf=False, trimap=None)
    _, drawn, left_out = illustrate(tmp_path / "out", {"largefov": plain, "resnet": bare}, only={2, 6, 8, 9, 10})
    assert drawn == (2,) and list(left_out) == [6, 8, 9, 10]
    assert "evaluated with the CRF" in left_out[6] and "--aspp_l" in left_out[8] and "--resnet" in left_out[9]
    assert "--trimap" in left_out[10] and all(f"deeplab_tf.eval --workdir={bare}" in text for text in left_out.values())


def test_runs_of_other_pictures_and_lost_data_are_refused(make_run, tmp_path):
    one = judged(make_run("one", pictures=2), save_scores=False)
    other = judged(make_run("other", pictures=3), save_scores=False)
    with pytest.raises(UserError, match="of different pictures"):
        illustrate(tmp_path / "out", {"largefov": one, "aspp_l": other})
    shutil.move(tmp_path / "data/images/val/p0.png", tmp_path / "data/p0.png")
    with pytest.raises(UserError, match=r"p0"):
        illustrate(tmp_path / "out", {"largefov": other}, only={6})
    assert not (tmp_path / "out").exists()


def test_wrong_inputs(tmp_path, capsys):
    out = tmp_path / "out"
    assert "--out is not set" in refusal(capsys)
    for text in ("7", "2,x", "", "2,,3"):
        said = refusal(capsys, f"--out={out}", f"--only={text}")
        assert said.startswith(f"error: --only: got {text!r}, expected figures of 2, 3, 4, ") and "\n" not in said
    assert "expected the folder of a trained run" in refusal(capsys, f"--out={out}", f"--resnet={tmp_path}")
    out.mkdir()
    (out / "index.html").write_text("mine")
    assert "give --overwrite" in refusal(capsys, f"--out={out}")
    assert (out / "index.html").read_text() == "mine"
    np.testing.assert_equal([path.name for path in tmp_path.iterdir()], ["out"])
