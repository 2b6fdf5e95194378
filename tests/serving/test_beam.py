"""The pipeline as people run it, killed and run again, on Beam's own runners; its parts on made pictures."""

import csv
import functools
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

beam = pytest.importorskip("apache_beam", reason="the package apache-beam is not installed: no pipeline")

import deeplab_tf as dl  # noqa: E402
from deeplab_tf.crf.params import CrfParams  # noqa: E402
from deeplab_tf.datasets.miniature import render  # noqa: E402
from deeplab_tf.errors import UserError  # noqa: E402
from deeplab_tf.experiment.config import ExperimentConfig  # noqa: E402
from deeplab_tf.experiment.labelling import label_pictures  # noqa: E402
from deeplab_tf.inference.label_files import LabelFiles  # noqa: E402
from deeplab_tf.serving.beam import LabelPictures, SegmenterHandler  # noqa: E402
from deeplab_tf.serving.beam_pictures import Picture, pictures_of  # noqa: E402
from deeplab_tf.serving.segmenter import Segmenter  # noqa: E402

GOOD, BROKEN = 27, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 pictures in two folders, 3 of them broken, and a narrow network of random weights."""
    root = tmp_path_factory.mktemp("beam")
    for number in range(GOOD):
        path = root / "pictures" / "ab"[number % 2] / f"p{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render(number)[0]).save(path)
    for number in range(BROKEN):
        (root / "pictures" / "a" / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff" + bytes(300))
    dl.build_model("vgg16_largefov", 6, width=0.0625, seed=1).save_weights(root / "narrow.weights.h5")
    return root


def config_of(folder):
    return ExperimentConfig().replace(model="vgg16_largefov", width=0.0625, dataset="miniature", crf=True,
                                      weights=str(folder / "narrow.weights.h5"))  # fmt: skip


def start(folder, out, *options):
    command = ["-m", "deeplab_tf.pipeline", "--input=pictures/*/*", "--weights=narrow.weights.h5", "--model=vgg16_largefov",
               "--width=0.0625", "--dataset=miniature", "--threads=1", f"--out={out}", *options]  # fmt: skip
    return subprocess.Popen([sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(path):
    with open(path, newline="") as table:
        return list(csv.reader(table))


@pytest.fixture(scope="module")
def expected(folder):
    """Label maps as `segment` and the CRF give them, picture by picture."""
    model = dl.load_model(folder / "narrow.weights.h5", model="vgg16_largefov", num_classes=6, width=0.0625)
    crf = dl.DenseCRF(CrfParams(), threads=1)
    paths = sorted((folder / "pictures").rglob("p*.png"))
    pictures = {path: np.asarray(Image.open(path)) for path in paths}
    return {f"{path.parent.name}/{path.stem}": dl.segment(model, image, crf=crf).argmax(-1) for path, image in pictures.items()}


def check(out, expected):
    """Every result once, with the labels of its picture; a row of areas each; nothing half written."""
    found = {path.relative_to(out).with_suffix("").as_posix(): path for path in pathlib.Path(out).rglob("p*.png")}
    assert found.keys() == expected.keys()
    for name, path in found.items():
        assert np.mean(np.asarray(Image.open(path)) == expected[name]) > 0.999, name  # batches add in another order
    head, *areas = rows(out / "shares.csv")
    assert head[:4] == ["picture", "height", "width", "background"]
    assert sorted(row[0] for row in areas) == sorted(expected)
    for name, height, width, *shares in areas:
        labels = np.asarray(Image.open(found[name]))
        assert (int(height), int(width)) == labels.shape
        assert np.allclose(np.array(shares, float), np.bincount(labels.ravel(), minlength=6) / labels.size, atol=1e-6)
    assert not [path for path in out.rglob("*.partial")]


def test_killed_in_the_middle_and_run_again_by_two_workers(folder, expected):
    out = folder / "out"
    first = start(folder, out)
    while first.poll() is None and len(list(out.rglob("p*.png"))) < 3:
        time.sleep(0.01)
    first.kill()
    first.communicate()
    done = {path: path.stat().st_mtime_ns for path in out.rglob("p*.png")}  # the last file of a picture
    assert 0 < len(done) < GOOD
    second = start(folder, out, "--", "--direct_num_workers=2", "--direct_running_mode=multi_processing")
    said, errors = second.communicate()
    assert second.returncode == 2 and f"{GOOD} pictures have results" in said, errors
    assert errors.strip().endswith(f"error: 3 pictures could not be labelled, the others are done; the reasons "
                                   f"stand in {out}/failed.csv.") and "Traceback" not in errors  # fmt: skip
    check(out, expected)
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())  # not done again
    assert not [*out.rglob(".*"), *out.glob("beam-temp-*")]  # nor does anything half-written stay
    head, *failed = rows(out / "failed.csv")
    assert head == ["picture", "reason"] and len(failed) == BROKEN
    for uri, reason in failed:
        assert "broken" in uri and reason.startswith("cannot be read as a picture")


def test_other_settings_are_refused(folder):
    (folder / "done").mkdir()
    (folder / "done" / "pipeline.json").write_text('{"write": ["overlay", "palette"], "crf": "another"}')
    with pytest.raises(UserError, match="came about otherwise \\(classes, crf, network differ\\)"):
        label_pictures(config_of(folder), None, f"{folder}/pictures/*/*", str(folder / "done"))
    with pytest.raises(UserError, match="fits no file"):
        label_pictures(config_of(folder), None, f"{folder}/pictures/*.nothing", str(folder / "other"))
    with pytest.raises(UserError, match="expected labels or palette among them"):
        label_pictures(config_of(folder), None, f"{folder}/pictures/*/*", str(folder / "other"), write=["overlay"])
    assert not (folder / "other").exists()


@pytest.fixture
def job_service(tmp_path):
    """Beam's own job service, as a cluster's is talked to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "apache_beam.runners.portability.local_job_service_main", f"--port={port}", f"--staging_dir={tmp_path}"]
    with open(tmp_path / "log", "w") as log:
        service = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
    for _ in range(300):
        with socket.socket() as probe:
            if service.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"localhost:{port}"
    service.terminate()
    service.wait(20)


def test_the_portable_runner_gives_the_same_from_a_list(folder, expected, job_service):
    listed = folder / "pictures" / "list.txt"
    names = sorted(path.relative_to(listed.parent).as_posix() for path in listed.parent.rglob("p*.png"))
    listed.write_text("\n".join([*names, names[0], "a/missing.png", ""]))
    out = folder / "portable"
    options = ["--runner=PortableRunner", f"--job_endpoint={job_service}", "--environment_type=LOOPBACK"]
    done = label_pictures(config_of(folder), None, str(listed), str(out), beam_options=options)
    listed.unlink()
    check(out, expected)
    assert done.pictures == GOOD
    assert done.failed == [(f"{folder}/pictures/a/missing.png", "no such file; correct the path.")]


def by_darkness(image):
    """Two classes; a picture that begins black is refused."""
    if not image[0, 0].any():
        raise UserError("this one is too dark.")
    dark = (image.mean(axis=-1, keepdims=True) < 128).astype(np.float32)
    return np.concatenate([1 - dark, dark], axis=-1)


def small_network():
    return Segmenter("darkness", ("light", "dark"), ((255, 255, 255), (9, 9, 9)), by_darkness)


def no_network():
    return Segmenter("none", ("light", "dark"), ((255, 255, 255), (9, 9, 9)), segment=None)


def run(pictures, out, *, network=small_network, crf=None):
    files = LabelFiles(("light", "dark"), ((255, 255, 255), (9, 9, 9)), write=("labels",))
    with beam.Pipeline("DirectRunner") as pipeline:
        pipeline | beam.Create(pictures) | LabelPictures(SegmenterHandler(network, batch_size=1), str(out), files, crf)
    return rows(out / "shares.csv")[1:], dict(rows(out / "failed.csv")[1:])


def refusing(image, probs):
    if image.shape[0] == 5:
        raise ValueError("too large for the CRF's memory.")
    return probs


def test_every_refusal_is_a_row_and_the_others_are_done(tmp_path, picture):
    made = {"fine": picture(6, 7), "dark": np.zeros((6, 7, 3), np.uint8), "huge": picture(5, 7), "twice": picture(6, 9)}
    for name, image in made.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    pictures = [Picture(str(tmp_path / f"{name}.png"), name) for name in made]
    other = Picture(str(tmp_path / "zwice.png"), "twice")
    areas, failed = run([*pictures, other], tmp_path / "out", crf=refusing)
    assert sorted(row[0] for row in areas) == ["fine", "twice"]
    assert {os.path.basename(uri): reason for uri, reason in failed.items()} == {
        "dark.png": "this one is too dark.",
        "huge.png": "too large for the CRF's memory.",
        "zwice.png": "another picture has the same name and both results would be called twice; run them apart",
    }
    labels = np.asarray(Image.open(tmp_path / "out" / "fine_labels.png"))
    assert (labels == (made["fine"].mean(axis=-1) < 128)).all()
    again, failed = run(pictures[:1], tmp_path / "out", network=no_network)
    assert again == [row for row in areas if row[0] == "fine"] and not failed


def test_a_picture_that_changed_is_done_anew_and_no_other(tmp_path, picture):
    for name in ("same", "changed", "half"):
        Image.fromarray(picture(6, 7)).save(tmp_path / f"{name}.png")
    pictures = [Picture(str(tmp_path / f"{name}.png"), name) for name in ("same", "changed", "half", "gone")]
    Image.fromarray(picture(6, 8)).save(tmp_path / "gone.png")
    run(pictures, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    Image.fromarray(255 - picture(6, 7)).save(tmp_path / "changed.png")
    (tmp_path / "out" / "half_labels.png").write_bytes((tmp_path / "out" / "half_labels.png").read_bytes()[:40])
    (tmp_path / "gone.png").unlink()
    areas, failed = run(pictures, tmp_path / "out")
    labels = {name: np.asarray(Image.open(tmp_path / "out" / f"{name}_labels.png")) for name in ("same", "changed", "half")}
    assert (labels["changed"] != labels["same"]).mean() > 0.9 and (labels["half"] == labels["same"]).all()
    assert sorted(row[0] for row in areas) == ["changed", "half", "same"]
    assert failed == {str(tmp_path / "gone.png"): "no such file; correct the path."}
    again = {path.name: path.stat().st_mtime_ns == before[path] for path in before}
    assert again == {"same_labels.png": True, "gone_labels.png": True, "changed_labels.png": False, "half_labels.png": False}
    unchanged, _ = run(pictures[:3], tmp_path / "out", network=no_network)  # nothing to segment
    assert sorted(unchanged) == sorted(areas)


def test_records_parquet_lists_and_patterns_name_the_same_pictures(tmp_path, picture):
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf

    (tmp_path / "x").mkdir()
    for name in ("x/one.png", "x/two.b.png"):
        Image.fromarray(picture(3, 4)).save(tmp_path / name)
    lines = ["x/one.png", "x/two.b.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    pq.write_table(pa.table({"where": lines}), tmp_path / "list.parquet")
    feature = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[line.encode()])) for line in lines]
    examples = [tf.train.Example(features=tf.train.Features(feature={"where": one})).SerializeToString() for one in feature]
    for file, records in (("bare", [line.encode() for line in lines]), ("examples", examples)):
        with tf.io.TFRecordWriter(str(tmp_path / f"{file}.tfrecord")) as writer:
            for record in records:
                writer.write(record)
    wanted = [Picture(str(tmp_path / line), line.removesuffix(".png")) for line in lines]
    found = functools.partial(sorted, key=lambda one: one.uri)
    with beam.Pipeline("DirectRunner") as pipeline:
        for source in ("list.txt", "list.parquet", "bare.tfrecord", "examples.tfrecord", "*/*.png"):
            pictures = pipeline | source >> pictures_of(str(tmp_path / source), "where")
            together = pictures | f"{source} all" >> beam.combiners.ToList()
            together | f"{source} same" >> beam.Map(_same, [dict(vars(one)) for one in found(wanted)])


def _same(pictures, wanted):
    assert [dict(vars(one)) for one in sorted(pictures, key=lambda one: one.uri)] == wanted
