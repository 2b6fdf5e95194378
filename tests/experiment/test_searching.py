"""The search for a run: scores that are made or taken; what evaluation found of the CRF, which predict and export follow."""

import json

import pytest

from deeplab_tf import crf_search as door
from deeplab_tf.crf.params import CrfParams, load_preset
from deeplab_tf.experiment import searching
from deeplab_tf.experiment.crf_choice import crf_by_evaluation
from deeplab_tf.experiment.evaluator import evaluate
from deeplab_tf.experiment.flags import run as run_door
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.locks import holding


def search(*arguments):
    run_door(door.main, door.define, ["crf_search", *arguments])


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        search(*arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_makes_the_scores_it_lacks_and_takes_those_of_an_evaluation(make_run, capsys, monkeypatch):
    run = make_run(pictures=3)
    search(f"--workdir={run}", "--iterations=1", "--nofiner", "--pictures=2")
    said, out = capsys.readouterr().out, run / "crf_search"
    assert len(list((out / "scores").glob("*.npz"))) == 2 and (out / "settings.csv").exists()
    if "nothing helps" in said:
        assert "--nocrf" in said and not (out / "preset.json").exists()
    else:
        assert load_preset(out / "preset.json").iterations == 1
    assert "--overwrite" in refusal(capsys, f"--workdir={run}")
    evaluate(load_config(run).replace(crf=False), run, save_scores=True)
    monkeypatch.setattr(searching, "segment", lambda *_, **__: pytest.fail("the network ran again"))
    search(f"--workdir={run}", f"--out={run / 'again'}", "--iterations=1", "--nofiner")
    assert not (run / "again" / "scores").exists() and "3 pictures" in capsys.readouterr().out
    with holding(run / "third", "crf_search"):
        assert "in use" in refusal(capsys, f"--workdir={run}", f"--out={run / 'third'}")
    assert "leave one out" in refusal(capsys, f"--workdir={run}", "--scores_dir=x")
    (run.parent / "data/labels.txt").write_text("road\nsky\ncar\n")
    assert "was 'sky' in training" in refusal(capsys, f"--workdir={run}", f"--out={run / 'fourth'}")


@pytest.mark.parametrize(
    "mean, harmed, use, words",
    [
        (0.02, [], True, "as it helps here (mean IoU +2.0 points on the 12 pictures of val)"),
        (0.02, ["pole"], True, "but it harms pole -3.0"),
        (-0.01, [], False, "does not help here (mean IoU -1.0 points"),
        (None, [], True, "eval tells whether it helps"),
    ],
)
def test_predict_follows_what_the_evaluation_found(tmp_path, mean, harmed, use, words):
    crf = str(CrfParams())
    gain = {"mean_iou": mean, "helps": mean and mean > 0, "harmed_classes": harmed, "per_class_iou": {"pole": -0.03}}
    result = {"images": 12, "crf": {"gain": gain}, "settings": {"crf": crf}}
    (tmp_path / "eval/val").mkdir(parents=True)
    (tmp_path / "eval/val/result.json").write_text(json.dumps(result))
    choice = crf_by_evaluation(tmp_path, "val", crf)
    assert choice.use is use and words in choice.why
    assert crf_by_evaluation(tmp_path, "test", crf).use
    if mean is not None:
        other = crf_by_evaluation(tmp_path, "val", str(CrfParams(w1=1)))
        assert other.use and "other parameters" in other.why
