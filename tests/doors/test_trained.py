"""A trained network through every door: the figures agree wherever the same network answers."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import deeplab_tf as dl
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.experiment.network import load_run
from deeplab_tf.experiment.run_folder import data_dir_of, load_config
from tests.doors_forked import run_door

IMAGES = 12


def run(door, *arguments):
    result = run_door(door, *arguments)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def run_of(trained_run):
    trained = load_run(trained_run, load_config(trained_run))
    return trained, list_samples(trained.spec, data_dir_of(trained.config), "val")[:IMAGES]


@pytest.fixture(scope="module")
def result(trained_run):
    run("eval", f"--workdir={trained_run}", f"--max_images={IMAGES}", "--save_scores", "--trimap=label_change")
    return json.loads((trained_run / "eval" / "val" / "result.json").read_text())


def test_it_learnt_and_the_crf_helps(result):
    assert result["images"] == IMAGES and result["mean_iou"] > 0.2  # background alone: 0.13
    assert result["crf"]["mean_iou"] > result["mean_iou"]
    assert set(result["per_class_iou"]) == {"background", "ball", "crate", "tree", "beast", "kite"}


def test_eval_equals_segment_and_one_confusion_matrix(result, run_of):
    trained, samples = run_of
    before, after = dl.ConfusionMatrix(6), dl.ConfusionMatrix(6)
    crf = dl.DenseCRF(dl.CrfParams(), threads=1)
    for sample in samples:
        image, label = read_image(sample.image), read_label(sample.label, trained.spec)
        probabilities = dl.segment(trained.model, image)
        before.update(label, probabilities.argmax(-1))
        after.update(label, crf(image, probabilities).argmax(-1))
    # eval --save_scores judges the rounded scores that it keeps
    assert before.mean_iou() == pytest.approx(result["mean_iou"], abs=2e-3)
    assert after.mean_iou() == pytest.approx(result["crf"]["mean_iou"], abs=2e-3)


def test_cached_scores_give_the_same_figures(trained_run, result):
    run("eval", f"--workdir={trained_run}", f"--max_images={IMAGES}", "--cached_scores")
    again = json.loads((trained_run / "eval" / "val" / "result.json").read_text())
    assert again["mean_iou"] == result["mean_iou"] and again["crf"]["mean_iou"] == result["crf"]["mean_iou"]


def test_load_model_brings_back_the_run(trained_run, run_of):
    trained, samples = run_of
    image = read_image(samples[0].image)
    np.testing.assert_array_equal(dl.segment(dl.load_model(trained_run), image), dl.segment(trained.model, image))
    with pytest.raises(dl.UserError, match="knows its network"):
        dl.load_model(trained_run, num_classes=3)


def test_predict_writes_what_segment_says(trained_run, run_of, tmp_path):
    trained, samples = run_of
    run("predict", f"--workdir={trained_run}", f"--out={tmp_path}", "--nocrf", *(sample.image for sample in samples[:3]))
    for sample in samples[:3]:
        with Image.open(tmp_path / f"{pathlib.Path(sample.image).stem}.png") as written:
            expected = dl.segment(trained.model, read_image(sample.image)).argmax(-1)
            assert np.array_equal(np.asarray(written), expected)


def test_the_saved_model_answers_as_segment_does(trained_run, run_of, tmp_path):
    import tensorflow as tf

    trained, samples = run_of
    run("export", f"--workdir={trained_run}", f"--out={tmp_path / 'saved'}")
    signatures = tf.saved_model.load(str(tmp_path / "saved")).signatures
    for sample in samples[:2]:
        image = read_image(sample.image)
        answer = signatures["serving_default"](images=tf.constant(image[None]))
        expected = dl.segment(trained.model, image)
        np.testing.assert_allclose(answer["probabilities"][0].numpy(), expected, atol=1e-5)
        assert np.mean(answer["labels"][0].numpy() == expected.argmax(-1)) > 0.9999
        (encoded,) = signatures["encoded"](encoded_images=tf.constant([pathlib.Path(sample.image).read_bytes()])).values()
        assert np.mean(tf.io.decode_png(encoded[0])[..., 0].numpy() == expected.argmax(-1)) > 0.9999


def test_shifting_the_picture_by_the_output_stride_shifts_the_labels(run_of):
    """An invariance of the whole chain, away from the borders."""
    trained, samples = run_of
    image = read_image(samples[0].image)
    image = image[: image.shape[0] // 8 * 8 - 7, : image.shape[1] // 8 * 8 - 7]
    whole = dl.segment(trained.model, image).argmax(-1)
    part = dl.segment(trained.model, image[8:, 8:]).argmax(-1)
    inner = slice(60, -60)
    assert np.mean(whole[8:, 8:][inner, inner] == part[inner, inner]) > 0.95
