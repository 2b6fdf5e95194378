"""What result.json says beyond the mean: object sizes, single pictures, intervals, what the CRF gains; ignored classes."""

import types

import numpy as np
import pytest
from oracles import contours as oracle

from deeplab_tf.evaluation.intervals import draw, drawn_iou, interval, mean_over_classes, sequence_of
from deeplab_tf.evaluation.object_size import size_counts, size_iou
from deeplab_tf.evaluation.summary import crf_warnings, summary
from deeplab_tf.evaluation.tally import Tally
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix

SPEC = types.SimpleNamespace(name="three", num_classes=3, class_names=("sky", "road", "pole"), ignore_label=255)


def label_map(seed, shape=(60, 81)):
    random = np.random.default_rng(seed)
    label = np.kron(random.integers(0, 2, (5, 6)), np.ones((13, 14), int))[: shape[0], : shape[1]]
    label[:, 10 + 5 * (seed % 3) : 12 + 5 * (seed % 3)] = 2
    label[3:6, 40:50] = 255
    return label


def noisy(label, seed, share):
    random = np.random.default_rng(seed)
    wrong = random.random(label.shape) < share
    return np.where(wrong, random.integers(0, 3, label.shape), np.where(label == 255, 0, label))


def tallied(count=12, before=0.2, after=0.1, change=lambda ids: ids, ignored=()):
    tally = Tally(SPEC, True, None, ignored)
    for k in range(count):
        label = label_map(k)
        tally.add(f"p{k}", k, label, noisy(label, k, before), change(noisy(label, k, after)))
    return tally


def test_object_sizes_equal_the_loop():
    label = label_map(1)
    prediction = np.roll(noisy(label, 4, 0.02), 1, axis=1)
    found = size_iou(size_counts(label, prediction, 3))
    for k in range(3):
        for size, (low, high) in enumerate(((0, 32**2), (32**2, 96**2), (96**2, 1 << 40))):
            expected = oracle.size_iou(label, prediction, k, low, high, 255)
            np.testing.assert_allclose(found[k, size], expected, err_msg=f"{k} {size}")
    other = np.where(label == 255, 2, prediction)
    np.testing.assert_array_equal(size_counts(label, other, 3), size_counts(label, prediction, 3))


def test_single_pictures_and_the_worst_tenth():
    tally = Tally(SPEC, False, None)
    for k in range(20):
        label = label_map(k)
        tally.add(f"p{k}", k, label, noisy(label, k, 0.5 if k in (3, 11) else 0.05), None)
    found = summary(tally)["per_picture"]
    scores = {}
    for k in range(20):
        one, label = ConfusionMatrix(3), label_map(k)
        one.update(label, noisy(label, k, 0.5 if k in (3, 11) else 0.05))
        scores[f"p{k}"] = one.mean_iou()
    assert found["mean_iou"] == pytest.approx(np.mean(list(scores.values())))
    assert list(found["worst"])[:2] == sorted(("p3", "p11"), key=scores.get)
    assert found["worst_decile"] == pytest.approx((scores["p3"] + scores["p11"]) / 2)
    assert len(found["worst"]) == 10 and found["worst"] == pytest.approx({id: scores[id] for id in found["worst"]})


def test_the_bootstrap_is_that_of_a_loop_over_pictures():
    counts = np.stack([tallied(6).stages["before"].of_pictures()[k] for k in range(6)])
    draws = draw([f"p{k}" for k in range(6)], draws=50)
    found = drawn_iou(draws, counts)
    for number in (0, 17, 49):
        chosen = np.repeat(np.arange(6), draws.weights[number])
        right, true, predicted = sum(counts[k] for k in chosen)
        np.testing.assert_allclose(found[number], right / (true + predicted - right))
    assert draws.weights.sum(axis=1).tolist() == [6] * 50
    low, high = interval(mean_over_classes(found))
    whole = counts.sum(axis=0)
    assert low < np.mean(whole[0] / (whole[1] + whole[2] - whole[0])) < high


@pytest.mark.parametrize(
    "dataset, id, sequence",
    [
        ("camvid", "0001TP_006690", "0001TP"),
        ("camvid", "Seq05VD_f00000", "Seq05VD"),
        ("camvid", "strange", None),
        ("cityscapes", "frankfurt_000000_000294", "frankfurt_000000"),
        ("voc2012", "2007_000129", None),
        ("folder", "drive1/0001", "drive1"),
        ("folder", "a_000123", None),
    ],
)
def test_sequences_by_ids(dataset, id, sequence):
    assert sequence_of(id, dataset) == sequence


def test_frames_of_one_drive_are_one_sample():
    ids = [f"0001TP_{k:06d}" for k in range(9)] + [f"0006R0_f{k:05d}" for k in range(9)] + ["Seq05VD_f00001"]
    draws = draw(ids, "camvid", draws=100)
    assert draws.over == "sequences" and draws.units == 3 and "3 sequences" in draws.note
    assert (draws.weights[:, :9] == draws.weights[:, :1]).all()
    one = draw(ids[:9], "camvid")
    assert one.over == "pictures" and one.units == 9 and "too narrow" in one.note
    assert draw(["2007_000129", "2007_000130"], "voc2012").note is None


def test_what_the_crf_gains_and_where_it_harms():
    gain = (result := summary(tallied()))["crf"]["gain"]
    assert gain["helps"] is True and gain["harmed_classes"] == [] and crf_warnings(result) == []
    assert gain["mean_iou"] == pytest.approx(result["crf"]["mean_iou"] - result["mean_iou"])
    assert 0 < gain["interval"][0] < gain["mean_iou"] < gain["interval"][1]
    assert result["intervals"]["mean_iou"][0] < result["mean_iou"] < result["intervals"]["mean_iou"][1]
    # the mean is helped and the thin class erased
    gain = (result := summary(tallied(before=0.6, after=0.0, change=lambda ids: np.where(ids == 2, 0, ids))))["crf"]["gain"]
    assert gain["helps"] is True and gain["harmed_classes"] == ["pole"]
    assert "harms classes by more than chance explains (pole -" in crf_warnings(result)[0]
    result = summary(tallied(before=0.1, after=0.3))
    assert result["crf"]["gain"]["helps"] is False and crf_warnings(result)[0].startswith("the CRF harms here: mean IoU -")


def test_ignored_classes_are_void_and_have_no_iou():
    found = summary(tallied(ignored=(2,)))
    assert found["per_class_iou"]["pole"] is None and found["ignored_classes"] == ["pole"]
    counts = ConfusionMatrix(3)
    for k in range(12):
        label = label_map(k)
        counts.update(np.where(label == 2, 255, label), noisy(label, k, 0.2))
    iou = counts.iou()[:2]
    assert found["mean_iou"] == pytest.approx(iou.mean())
    assert found["pixel_accuracy"] == pytest.approx(counts.pixel_accuracy())
    assert found["intervals"]["mean_iou"][0] < found["mean_iou"] < found["intervals"]["mean_iou"][1]
