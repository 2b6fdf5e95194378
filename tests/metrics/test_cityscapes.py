"""IoU, category IoU and iIoU against cityscapesScripts' own evaluation, on real pictures with made predictions."""

import copy

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.evaluation.summary import summary
from deeplab_tf.evaluation.tally import Tally


def connected_instances(label_ids, with_instances):
    """An instance map as the data set's: label id * 1000 + number for the connected regions of its classes."""
    import cv2

    instances = label_ids.astype(np.int32)
    for label_id in with_instances:
        count, regions = cv2.connectedComponents((label_ids == label_id).astype(np.uint8))
        for number in range(1, count):
            instances[regions == number] = label_id * 1000 + number
    return instances


def test_equals_cityscapes_scripts(test_data, tmp_path, monkeypatch):
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # NumPy 2.4 took it away, the scripts still call it
    theirs = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    from cityscapesscripts.helpers.labels import labels as rows

    spec = get_dataset("cityscapes")
    tally, predictions, truths = Tally(spec, False, None), [], []
    train_id, label_id = np.full(256, 255), np.array(spec.ids)
    for value, target in spec.train_id_of.items():
        train_id[value] = target
    with_instances = [row.id for row in rows if row.hasInstances and not row.ignoreInEval]
    masks = sorted((test_data / "data/cityscapes/gtFine/val").glob("*/*_gtFine_labelIds.png"))
    assert len(masks) == 2
    for place, path in enumerate(masks):
        truth, random = np.array(Image.open(path)), np.random.default_rng(place)
        prediction = np.roll(np.where(train_id[truth] == 255, 2, train_id[truth]), (9, -14), (0, 1))
        speckled = random.random(truth.shape) < 0.05
        prediction[speckled] = random.integers(0, 19, speckled.sum())
        instances = connected_instances(truth, with_instances)
        tally.add(path.stem, place, train_id[truth], prediction, None, instances)
        truths.append(str(tmp_path / f"{place}_gtFine_labelIds.png"))
        predictions.append(str(tmp_path / f"{place}_pred.png"))
        Image.fromarray(truth).save(truths[-1])
        Image.fromarray(instances.astype(np.uint16)).save(truths[-1].replace("labelIds", "instanceIds"))
        Image.fromarray(label_id[prediction].astype(np.uint8)).save(predictions[-1])
    arguments = copy.copy(theirs.args)
    arguments.quiet, arguments.JSONOutput, arguments.evalInstLevelScore = True, False, True
    arguments.evalPixelAccuracy = False
    expected, found = theirs.evaluateImgLists(predictions, truths, arguments), summary(tally)
    for name, ours, their in (
        ("IoU", found["per_class_iou"], expected["classScores"]), ("iIoU", found["iiou"], expected["classInstScores"]),
        ("category IoU", found["category_iou"], expected["categoryScores"]),
        ("category iIoU", found["category_iiou"], expected["categoryInstScores"]),
    ):  # fmt: skip
        known = {key: value for key, value in their.items() if not np.isnan(value)}
        assert known == pytest.approx({key: ours[key] for key in known}, abs=1e-9), name
        assert {key for key, value in ours.items() if value is not None} == set(known), name
    assert found["mean_iou"] == pytest.approx(expected["averageScoreClasses"], abs=1e-9)
    assert found["mean_category_iou"] == pytest.approx(expected["averageScoreCategories"], abs=1e-9)
    assert found["mean_iiou"] == pytest.approx(expected["averageScoreInstClasses"], abs=1e-9)
    assert found["mean_category_iiou"] == pytest.approx(expected["averageScoreInstCategories"], abs=1e-9)
