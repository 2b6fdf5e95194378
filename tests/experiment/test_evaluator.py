"""`evaluate` and its door: where results go, what they may replace, and label tables that disagree."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import eval as door
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.evaluator import evaluate
from deeplab_tf.experiment.flags import run as run_door
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.inference.segment import segment
from deeplab_tf.locks import holding
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix


def evaluated(run, out=None, options=None, **settings):
    return evaluate(load_config(run).replace(**{"crf": False} | settings), run, out=out, **options or {})


def refusal(capsys, *arguments):
    """The one line that the door says."""
    with pytest.raises(SystemExit) as stopped:
        run_door(door.main, door.define, ["eval", *arguments])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_a_few_pictures_do_not_replace_the_whole_set(make_run, capsys):
    run = make_run()
    whole = evaluated(run)
    said = refusal(capsys, f"--workdir={run}", "--max_images=3")
    assert "the whole set, 4 pictures" in said and "--out=" in said
    assert json.loads((run / "eval/val/result.json").read_text()) == whole
    few = evaluated(run, out=run / "few", max_images=3, flip=True)
    assert few["images"] == 3 and json.loads((run / "few/result.json").read_text()) == few
    assert few["settings"]["max_images"] == 3 and few["settings"]["flip"] is True and whole["settings"]["flip"] is False
    assert "result.json there already" in refusal(capsys, f"--workdir={run}", f"--out={run / 'few'}")
    assert evaluated(run, options={"overwrite": True}, max_images=2)["images"] == 2
    assert evaluated(run, max_images=3)["images"] == 3  # of two parts the newer one stays


def test_python_has_what_the_doors_call():
    import deeplab_tf
    from deeplab_tf.experiment.trainer import train

    assert deeplab_tf.experiment.evaluate is evaluate and deeplab_tf.experiment.train is train


def same_figures(one, other):
    return {key: value for key, value in one.items() if key != "seconds"} == {
        key: value for key, value in other.items() if key != "seconds"
    }


def test_shards_add_up_to_the_undisturbed_evaluation(make_run, capsys):
    run = make_run(pictures=3)
    whole = evaluated(run, out=run / "whole")
    assert evaluated(run, out=run / "parts", options={"shard": (2, 2)})["images"] == 1
    said = refusal(capsys, f"--workdir={run}", f"--out={run / 'parts'}", "--merge")
    assert "shard 1/2" in said and "--shard=1/2" in said
    evaluated(run, out=run / "parts", options={"shard": (1, 2)})
    merged = evaluated(run, out=run / "parts", options={"merge": True})
    assert same_figures(merged, whole) and same_figures(json.loads((run / "parts/result.json").read_text()), whole)
    assert "--shard: got '4/3'" in refusal(capsys, f"--workdir={run}", "--shard=4/3")


def with_other_weights(run):
    """The run's only checkpoint holds other numbers under the same name."""
    (path,) = (run / "checkpoints").glob("*.npz")
    with np.load(path) as file:
        arrays = {name: array * 1.1 if array.ndim == 4 else array for name, array in file.items()}
    np.savez(path, **arrays)


def test_shards_of_another_network_set_or_settings_are_not_merged(make_run):
    run = make_run(pictures=3)
    parts = {"out": run / "parts"}
    for number in (1, 2):
        evaluated(run, **parts, options={"shard": (number, 2)})
    with pytest.raises(UserError, match="got flip True, and the shards in .* were made with False; leave it out"):
        evaluated(run, **parts, options={"merge": True}, flip=True)
    evaluated(run, **parts, options={"merge": True})
    page = (run / "parts/report.html").read_text()
    assert "--shard=1/2" in page and "--shard=2/2" in page and "--merge" in page
    with_other_weights(run)
    evaluated(run, **parts, options={"shard": (2, 2), "overwrite": True})
    with pytest.raises(UserError, match="2-of-2.npz and 1-of-2.npz differ in network, expected shards of one evaluation"):
        evaluated(run, **parts, options={"merge": True, "overwrite": True})
    evaluated(run, **parts, options={"shard": (1, 2), "overwrite": True}, max_images=2)
    with pytest.raises(UserError, match="differ in settings, the set's pictures or masks"):
        evaluated(run, **parts, options={"merge": True, "overwrite": True})


def test_a_mask_mended_between_two_shards_is_noticed(make_run):
    run = make_run(pictures=3)
    parts = {"out": run / "parts"}
    evaluated(run, **parts, options={"shard": (1, 2)})
    mask = max(pathlib.Path(load_config(run).data.data_dir).rglob("*.png"))
    ids = np.array(Image.open(mask))
    ids[:5] = ids[-1, -1]
    Image.fromarray(ids).save(mask)
    evaluated(run, **parts, options={"shard": (2, 2)})
    with pytest.raises(UserError, match="2-of-2.npz and 1-of-2.npz differ in the set's pictures or masks"):
        evaluated(run, **parts, options={"merge": True})
    evaluated(run, **parts, options={"shard": (1, 2), "overwrite": True})
    assert evaluated(run, **parts, options={"merge": True})["images"] == 3


def test_cached_scores_of_another_network_or_way_are_refused(make_run):
    run = make_run(pictures=2)
    made, again = evaluated(run, options={"save_scores": True}), evaluated(run, options={"cached_scores": True})
    assert same_figures(again | {"settings": None}, made | {"settings": None})
    with pytest.raises(UserError, match="scores came about with flip False, expected True as it is asked for now"):
        evaluated(run, options={"cached_scores": True}, flip=True)
    with_other_weights(run)
    with pytest.raises(UserError, match="scores came about with network .*; evaluate with --save_scores again"):
        evaluated(run, options={"cached_scores": True})


def test_scales_and_fusion_of_the_evaluation_are_those_of_segment(make_run):
    run = make_run(pictures=2)
    config = load_config(run).replace(crf=False)
    from deeplab_tf.experiment.network import load_run

    model = load_run(run, config).model
    for scales, fusion in (((0.5, 1.0), "mean_probabilities"), ((0.5,), "max_logits")):
        result = evaluated(run, options={"overwrite": True}, eval_scales=scales, fusion=fusion, flip=True)
        counts = ConfusionMatrix(3)
        for k in range(2):
            image, label = (np.asarray(Image.open(run.parent / f"data/{kind}/val/p{k}.png")) for kind in ("images", "masks"))
            counts.update(label, segment(model, image, scales, flip=True, fusion=fusion).argmax(-1))
        assert result["confusion_matrix"] == counts.matrix.tolist() and result["settings"]["eval_scales"] == list(scales)
    own = [segment(model, image, (scale,)) for scale in (1.0,)][0]
    half = segment(model, image, (0.5, 1.0), fusion="mean_probabilities")
    assert np.abs(half.sum(-1) - 1).max() < 1e-5 and np.abs(half - own).max() > 0


def test_ignored_classes_leave_the_figures(make_run):
    result = evaluated(make_run(pictures=2), ignore_classes=(1,))
    assert result["per_class_iou"]["road"] is None and result["ignored_classes"] == ["road"]


def test_swapped_labels_are_refused_or_followed_by_name(make_run, capsys):
    run = make_run()
    expected, labels = evaluated(run), run.parent / "data" / "labels.txt"
    labels.write_text("road\nsky\ncar\n")
    said = refusal(capsys, f"--workdir={run}", "--nocrf", "--overwrite")
    assert "0 is 'road' beside the data and was 'sky' in training" in said and "--match_names" in said
    for mask in (run.parent / "data/masks/val").iterdir():  # the same scenes in the new order
        Image.fromarray(np.array([1, 0, 2], np.uint8)[np.asarray(Image.open(mask))]).save(mask)
    followed = evaluated(run, options={"match_names": True})
    assert followed["confusion_matrix"] == expected["confusion_matrix"]
    assert followed["per_class_iou"] == expected["per_class_iou"]


@pytest.mark.parametrize(
    "table, message",
    [
        ("0: sky\n1: road\n255: car\n", "2 is 'void' beside the data and was 'car'"),
        ("sky\nroad\ncar\ntree\n", "3 is 'tree' beside the data and was 'void'"),
        ("sky #0000ff\nroad #00ff00\n car #ff0000\n", None),  # other colours alone: they meet in no mask that both can read
        ("sky\nroad #008000\ncar #800000\n", r"colour \(0, 128, 0\) is 'road'"),
    ],
)
def test_what_counts_as_another_table(make_run, table, message):
    run = make_run(pictures=1)
    (run.parent / "data" / "labels.txt").write_text(table)
    if message is None:
        assert evaluated(run)["images"] == 1
    else:
        with pytest.raises(UserError, match=message):
            evaluated(run)


def test_names_that_do_not_match_are_named(make_run):
    run = make_run(pictures=1)
    (run.parent / "data" / "labels.txt").write_text("road\nsky\nlorry\n")
    with pytest.raises(UserError, match="--match_names: lorry of the data's labels is no class of the run"):
        evaluated(run, options={"match_names": True})


def test_two_evaluations_into_one_folder_are_refused(make_run):
    run = make_run(pictures=1)
    with holding(run / "eval" / "val", "eval"), pytest.raises(UserError, match="in use"):
        evaluated(run)
    assert evaluated(run)["images"] == 1


def test_a_set_of_void_alone_is_a_sentence_through_the_door(make_run, capsys):
    run = make_run(pictures=1)
    mask = run.parent / "data/masks/val/p0.png"
    Image.fromarray(np.full((70, 81), 255, np.uint8)).save(mask)
    run_door(door.main, door.define, ["eval", f"--workdir={run}", "--trimap=", "--crf_iterations=1"])
    said = capsys.readouterr().out
    assert "mean IoU none" in said and "warning: every pixel of these masks is void" in said
