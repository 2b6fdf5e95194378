"""`evaluate` against metrics counted by hand, the CRF beside the network, kept scores, and wrong input."""

import json
import logging
import re
import sys
import threading
import types

import numpy as np
import pytest
import tensorflow as tf
from oracles import metrics as oracle

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation import evaluate as module
from deeplab_tf.evaluation.counting import confusion_of
from deeplab_tf.evaluation.evaluate import evaluate, evaluate_scores
from deeplab_tf.evaluation.examples import refine_beside
from deeplab_tf.evaluation.picture_cache import PictureCache, label_cache
from deeplab_tf.evaluation.tally import collapse_warnings
from deeplab_tf.inference.digest import network_digest
from deeplab_tf.inference.segment import segment
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from tests.full_disk import full_disk

SPEC = types.SimpleNamespace(
    name="four",
    num_classes=4,
    class_names=("a", "b", "c", "d"),
    ignore_label=255,
    palette=((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)),
)


def _examples(count=5):
    rng = np.random.default_rng(0)
    for k in range(count):
        size = (20 + 3 * k, 31 - 2 * k)
        label = rng.integers(0, 3, size).astype(np.uint8)
        label[:2] = 255
        yield {"image": rng.integers(0, 256, (*size, 3)).astype(np.uint8), "label": label, "id": f"city/p{k}".encode()}


class _Swap:
    """Stands for a CRF: moves every class' probability to the next class; counts its calls and threads."""

    params = "swap"

    def __init__(self):
        self.threads = []

    def __call__(self, image, probabilities):
        assert image.dtype == np.uint8 and image.shape[:2] == probabilities.shape[:2]
        self.threads.append(threading.current_thread().name)
        return np.roll(probabilities, 1, axis=-1)


def _by_hand(model, shift=0, **options):
    labels, predictions = [], []
    for example in _examples():
        ids = segment(model, example["image"], **options).argmax(-1)
        labels.append(example["label"].ravel())
        predictions.append((ids.ravel() + shift) % 4)
    return np.concatenate(labels), np.concatenate(predictions)


def test_result_is_one_matrix_over_the_set(make_model, tmp_path):
    model = make_model()
    result = evaluate(
        model, SPEC, _examples(), out_dir=tmp_path / "deep" / "val", crf=_Swap(), trimap="label_change", progress=False
    )
    for rates, shift in ((result, 0), (result["crf"], 1)):
        labels, predictions = _by_hand(model, shift)
        iou = oracle.iou(labels, predictions, 4, 255)
        np.testing.assert_allclose([rates["per_class_iou"][name] for name in SPEC.class_names], iou)
        assert rates["mean_iou"] == pytest.approx(np.nanmean(iou))
        assert rates["pixel_accuracy"] == pytest.approx(np.mean((labels == predictions)[labels != 255]))
        np.testing.assert_array_equal(rates["confusion_matrix"], oracle.confusion(labels, predictions, 4, 255))
        assert sum(rates["predicted_frequency"].values()) == pytest.approx(1)
    assert result["images"] == 5 and result["seconds"] > 0
    assert result["trimap"]["definition"] == "label_change" and len(result["trimap"]["after"]) == 41
    files = sorted(path.name for path in (tmp_path / "deep" / "val").iterdir())
    assert files == ["pictures.npz", "report.html", "result.json"]
    assert json.loads((tmp_path / "deep" / "val" / "result.json").read_text()) == result
    assert "city/p0" in (tmp_path / "deep" / "val" / "report.html").read_text()


def test_options_reach_the_network_and_there_may_be_no_crf(make_model, tmp_path):
    model = make_model()
    options = {"scales": (0.5, 0.75, 1.0), "flip": True}
    result = evaluate(model, SPEC, _examples(), out_dir=tmp_path, progress=False, gallery=0, **options)
    labels, predictions = _by_hand(model, **options)
    assert result["pixel_accuracy"] == pytest.approx(np.mean((labels == predictions)[labels != 255]))
    assert result["crf"] is None and result["settings"]["scales"] == [0.5, 0.75, 1.0]


def test_takes_a_tf_data_set(make_model, tmp_path):
    model, examples = make_model(), list(_examples())
    signature = {
        "image": tf.TensorSpec([None, None, 3], tf.uint8),
        "label": tf.TensorSpec([None, None], tf.uint8),
        "id": tf.TensorSpec([], tf.string),
    }
    dataset = tf.data.Dataset.from_generator(lambda: examples, output_signature=signature)
    one = evaluate(model, SPEC, dataset, out_dir=tmp_path / "a", progress=False)
    two = evaluate(model, SPEC, examples, out_dir=tmp_path / "b", progress=False)
    assert one["confusion_matrix"] == two["confusion_matrix"]


def test_absent_class_is_null_and_numbers_are_json(make_model, tmp_path):
    spec = types.SimpleNamespace(**vars(SPEC))
    examples = [example | {"label": np.zeros_like(example["label"])} for example in _examples(1)]
    model = make_model()
    model.layers[-1].set_weights([np.zeros((9, 9, 3, 4)), np.float32([9, 0, 0, 0])])
    result = evaluate(model, spec, examples, out_dir=tmp_path, progress=False)
    assert result["per_class_iou"] == {"a": 1.0, "b": None, "c": None, "d": None}
    assert result["mean_iou"] == 1 and result["mean_iou_empty_as_one"] == 1
    assert "NaN" not in (tmp_path / "result.json").read_text()


def test_collapsed_predictions_raise_an_alarm(make_model, tmp_path):
    model = make_model()
    model.layers[-1].set_weights([np.zeros((9, 9, 3, 4)), np.float32([0, 9, 0, 0])])
    result = evaluate(model, SPEC, _examples(), out_dir=tmp_path, progress=False, warnings=("seen before",))
    assert result["warnings"][0] == "seen before"
    assert result["warnings"][1].startswith("100.0 % of the predictions are 'b' (")
    assert result["warnings"][1].split(":")[0] in (tmp_path / "report.html").read_text().replace("&#39;", "'")
    spread = ConfusionMatrix.from_matrix(np.array([[98, 2], [0, 0]]))
    assert collapse_warnings(spread, spread, ("x", "y")) == []


def test_a_crf_that_leaves_one_class_raises_an_alarm(make_model, tmp_path):
    def erase(image, probabilities):
        return np.eye(4, dtype=np.float32)[np.full(probabilities.shape[:2], 2)]

    result = evaluate(make_model(), SPEC, _examples(), out_dir=tmp_path, crf=erase, progress=False)
    erased, harms = result["warnings"]
    assert erased.startswith("after the CRF 100.0 % of the predictions are 'c' (") and harms.startswith("the CRF harms here")
    assert "--nocrf" in erased and "crf_search" in harms


def test_a_set_of_void_alone_has_no_figure_and_says_so(make_model, tmp_path):
    examples = [example | {"label": np.full_like(example["label"], 255)} for example in _examples(2)]
    result = evaluate(make_model(), SPEC, examples, out_dir=tmp_path, crf=_Swap(), trimap="void", progress=False)
    assert result["mean_iou"] is None and result["crf"]["mean_iou"] is None
    assert "every pixel of these masks is void" in result["warnings"][0]
    assert json.loads((tmp_path / "result.json").read_text()) == result


def test_crf_runs_in_threads_in_order_and_with_few_pictures_in_flight():
    made, release, running = [], threading.Event(), []

    def scored():
        for k in range(8):
            made.append(k)
            yield k, np.zeros((1, 1, 2))

    def refine(k, _):
        running.append(threading.current_thread().name)
        if k == 0:
            assert release.wait(20)
        return k

    results = refine_beside(scored(), refine, workers=2)
    thread = threading.Timer(0.2, release.set)
    thread.start()
    assert next(results)[3] == 0
    assert len(made) == 3
    assert [after for *_, after in results] == list(range(1, 8))
    assert all(name.startswith("crf") for name in running)


def test_failure_in_the_crf_gets_out_and_writes_nothing(make_model, tmp_path):
    def broken(image, probabilities):
        raise RuntimeError("no lattice")

    with pytest.raises(RuntimeError, match="no lattice"):
        evaluate(make_model(), SPEC, _examples(), out_dir=tmp_path, crf=broken, progress=False)
    assert not (tmp_path / "result.json").exists()


def test_kept_scores_are_reused_and_another_crf_needs_no_network(make_model, tmp_path, monkeypatch):
    model, crf = make_model(), _Swap()
    first = evaluate(model, SPEC, _examples(), out_dir=tmp_path, crf=crf, save_scores=True, progress=False)
    assert len(crf.threads) == 5 and len(list((tmp_path / "scores").rglob("p*"))) == 5
    plain = evaluate(model, SPEC, _examples(), out_dir=tmp_path / "plain", progress=False)
    assert first["mean_iou"] == pytest.approx(plain["mean_iou"], abs=5e-3)

    monkeypatch.setattr(module, "segment", lambda *_, **__: pytest.fail("the network ran again"))
    again = evaluate(model, SPEC, _examples(), out_dir=tmp_path, crf=crf, save_scores=True, progress=False)
    assert len(crf.threads) == 5  # the labels after the CRF were kept as well
    other = _Swap()
    other.params = "another"
    changed = evaluate_scores(SPEC, _examples(), out_dir=tmp_path, crf=other, progress=False)
    assert len(other.threads) == 5
    for result in (again, changed):
        assert result["confusion_matrix"] == first["confusion_matrix"]
        assert result["crf"]["confusion_matrix"] == first["crf"]["confusion_matrix"]


def test_interrupted_run_goes_on_where_it_was(make_model, tmp_path, monkeypatch):
    model, calls = make_model(), []

    def counted(model, image, *options, **limit):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(image.shape)
        return segment(model, image, *options, **limit)

    monkeypatch.setattr(module, "segment", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, SPEC, _examples(), out_dir=tmp_path, save_scores=True, progress=False)
    next(path for path in (tmp_path / "scores").rglob("p1*")).write_bytes(b"damaged")
    calls[:] = [None]  # two more may be made: the damaged one and the fourth; the fifth would be the fourth call
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, SPEC, _examples(), out_dir=tmp_path, save_scores=True, progress=False)
    shapes = [example["image"].shape for example in _examples()]
    assert calls[1:] == [shapes[1], shapes[3]]


def test_scores_of_another_network_are_not_reused(make_model, tmp_path):
    evaluate(make_model(seed=0), SPEC, _examples(2), out_dir=tmp_path, save_scores=True, progress=False)
    other = make_model(seed=1)
    result = evaluate(other, SPEC, _examples(2), out_dir=tmp_path, save_scores=True, progress=False)
    fresh = evaluate(other, SPEC, _examples(2), out_dir=tmp_path / "fresh", save_scores=True, progress=False)
    assert result["confusion_matrix"] == fresh["confusion_matrix"]


def test_scores_and_crf_labels_of_other_pixels_are_not_reused(make_model, tmp_path):
    model, kept = make_model(), {"save_scores": True, "progress": False}
    evaluate(model, SPEC, _examples(2), out_dir=tmp_path / "kept", crf=_Swap(), **kept)
    others = [example | {"image": np.flip(example["image"], 2)} for example in _examples(2)]
    with pytest.raises(UserError, match="of another picture of this name"):
        evaluate_scores(SPEC, others, out_dir=tmp_path / "kept", crf=_Swap(), progress=False)
    result = evaluate(model, SPEC, others, out_dir=tmp_path / "kept", crf=_Swap(), **kept)
    fresh = evaluate(model, SPEC, others, out_dir=tmp_path / "fresh", crf=_Swap(), **kept)
    for rates, expected in ((result, fresh), (result["crf"], fresh["crf"])):
        assert rates["confusion_matrix"] == expected["confusion_matrix"]


def test_network_digest_sees_weights_and_geometry_only(make_model):
    from deeplab_tf.models.deeplab import build_model

    options = {"num_classes": 4, "width": 1 / 16}
    digest = network_digest(build_model("vgg16_largefov", **options))
    assert digest == network_digest(build_model("vgg16_largefov", atrous_method="native", **options))
    assert digest != network_digest(build_model("vgg16_largefov", head_rates=(6,), **options))
    assert digest != network_digest(build_model("vgg16_largefov", output_stride=16, head_rates=(12,), **options))
    assert digest != network_digest(build_model("vgg16_largefov", seed=1, **options))


def test_cache_leaves_folders_that_are_not_its_own_and_ids_inside(tmp_path):
    (tmp_path / "mine.txt").write_text("text")
    cache = label_cache(tmp_path, {"a": 1})
    image = np.zeros((1, 2, 3), np.uint8)
    cache.put("x/y", image, np.array([[1, 300]]))
    np.testing.assert_array_equal(cache.get("x/y", image), [[1, 300]])
    assert cache.get("x/y", image + 1) is None and cache.get("z", image) is None
    assert (tmp_path / "mine.txt").exists()
    assert isinstance(cache, PictureCache)
    with pytest.raises(ValueError, match="stays inside"):
        cache.path("../outside")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"label": np.zeros((20, 30), np.uint8)}, r"city/p0: the mask has shape \[20, 30\] and the picture \[20, 31, 3\]"),
        ({"label": np.full((20, 31), 9, np.uint8)}, "city/p0: labels hold the id 9, expected 0..3"),
    ],
)
def test_wrong_masks_are_named(make_model, tmp_path, change, message):
    examples = [example | change for example in _examples(1)]
    with pytest.raises(UserError, match=message):
        evaluate(make_model(), SPEC, examples, out_dir=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told_before_the_network_runs(make_model, tmp_path):
    def untouched():
        pytest.fail("a picture was read")
        yield

    (tmp_path / "file").write_text("")
    out = {"out_dir": tmp_path / "file" / "val", "crf": None, "progress": False}
    with pytest.raises(UserError, match="file is not a folder"):
        evaluate(make_model(), SPEC, untouched(), **out)
    with pytest.raises(UserError, match="file is not a folder"):
        evaluate_scores(SPEC, untouched(), **out)


@pytest.mark.parametrize("save_scores, file", [(True, "p0.npz"), (False, "report.html")])
def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(make_model, tmp_path, save_scores, file):
    with full_disk(500), pytest.raises(UserError, match=f"{file}: cannot be written .File too large"):
        evaluate(make_model(), SPEC, _examples(), out_dir=tmp_path, crf=_Swap(), save_scores=save_scores, progress=False)
    assert {path.name for path in tmp_path.rglob("*.*")} <= {"about.json"}


@pytest.mark.parametrize("count", [evaluate, confusion_of])
def test_progress_knows_the_end_and_log_lines_stand_alone(make_model, tmp_path, monkeypatch, capsys, count):
    name = "segment" if count is evaluate else "segment_labels"
    quiet = getattr(sys.modules[count.__module__], name)

    def talkative(*arguments, **options):
        logging.getLogger("deeplab_tf").warning("method auto")
        return quiet(*arguments, **options)

    monkeypatch.setattr(sys.modules[count.__module__], name, talkative)
    console = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(console)
    try:
        count(make_model(), SPEC, list(_examples()), **({"out_dir": tmp_path} if count is evaluate else {}))
    finally:
        logging.getLogger().removeHandler(console)
    told = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert told.count("method auto") == 5 and any("/5 [" in line for line in told)
    assert not [line for line in told if "method auto" in line and line != "method auto"]


def test_wrong_sets_are_refused(make_model, tmp_path):
    with pytest.raises(UserError, match="3 outputs and data set four 4 classes"):
        evaluate(make_model(num_classes=3), SPEC, _examples(), out_dir=tmp_path, progress=False)
    with pytest.raises(UserError, match="no pictures"):
        evaluate(make_model(), SPEC, [], out_dir=tmp_path, progress=False)
    with pytest.raises(UserError, match="--save_scores"):
        evaluate_scores(SPEC, _examples(), out_dir=tmp_path, crf=_Swap(), progress=False)
