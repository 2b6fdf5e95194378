"""What users get wrong, through the doors as they run them: one line, the way out, exit code 2, nothing half-written."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.doors_forked import run_door

SETTINGS = ["--model=vgg16_largefov", "--width=0.05", "--crop_size=65", "--batch_size=2", "--steps=2", "--dataset=folder"]


@pytest.fixture
def folder(tmp_path):
    """A user's own data set of three pictures."""
    root = tmp_path / "my pictures"
    random = np.random.default_rng(0)
    for name in ("a", "b", "c ä"):
        for kind, shape, suffix in (("images", (70, 81, 3), ".jpg"), ("masks", (70, 81), ".png")):
            path = root / kind / "train" / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 3, shape).astype(np.uint8)).save(path)
    (root / "labels.txt").write_text("sky\nroad\ncar\n")
    return root


def refused(door, *arguments):
    """The one line that the door says."""
    result = run_door(door, *arguments)
    assert result.returncode == 2, result.stderr[-2000:]
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def train(folder, *arguments):
    return refused("train", *SETTINGS, f"--data_dir={folder}", f"--workdir={folder.parent / 'run'}", *arguments)


def test_a_good_folder_trains_evaluates_predicts_and_exports(folder):
    workdir = folder.parent / "run"
    (folder / "labels.txt").write_text("0: sky\n100: road\n200: car\n")
    for mask in (folder / "masks" / "train").iterdir():
        Image.fromarray(np.asarray(Image.open(mask)) * 100).save(mask)
    result = run_door("train", *SETTINGS, f"--data_dir={folder}", f"--workdir={workdir}")
    assert result.returncode == 0, result.stderr[-2000:]
    result = run_door("eval", f"--workdir={workdir}", "--eval_split=train", "--crf_iterations=2")
    assert result.returncode == 0 and "after the CRF: mean IoU" in result.stdout, result.stderr[-2000:]
    assert "warning: train: the run was trained on 3 of these pictures" in result.stdout
    command = f"python -m deeplab_tf.eval --workdir={workdir} --eval_split=train --crf_iterations=2"
    assert command in (workdir / "eval" / "train" / "report.html").read_text()
    pictures, out = folder / "images" / "train", folder.parent / "out"
    result = run_door("predict", f"--workdir={workdir}", f"--out={out}", "--nocrf", "--label_ids", str(pictures))
    assert result.returncode == 0, result.stderr[-2000:]
    expected = {f"{n}{s}" for n in ("a", "b", "c ä") for s in (".png", "_overlay.jpg")}
    assert {path.name for path in out.iterdir()} == expected | {"predict.jsonl"}
    with Image.open(out / "a.png") as labels:
        assert labels.mode == "P" and labels.size == (81, 70) and set(np.unique(labels)) <= {0, 100, 200}
    # Other settings than those of the results that are there: after the CRF, and in class ids.
    assert "crf, ids differ" in refused("predict", f"--workdir={workdir}", f"--out={out}", str(pictures))
    truncated = folder.parent / "broken.jpg"
    truncated.write_bytes((pictures / "a.jpg").read_bytes()[:200])
    result = run_door("predict", f"--workdir={workdir}", f"--out={folder.parent / 'out2'}", "--nocrf", str(truncated))
    assert result.returncode == 2 and f"{truncated}: " in result.stderr, result.stderr[-2000:]
    assert "label files hold class ids, from 0, where the masks hold 0, 100, 200; --label_ids writes those" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: 1 picture could not be read")
    assert not list(folder.parent.glob("out2/*"))
    message = refused("eval", f"--workdir={workdir}", "--eval_split=train", "--model=vgg16_aspp_s")
    assert "checkpoint" in message or "fc6_1" in message
    result = run_door("export", f"--workdir={workdir}", f"--out={folder.parent / 'saved'}")
    assert result.returncode == 0 and (folder.parent / "saved" / "saved_model.pb").exists(), result.stderr[-2000:]
    (folder / "labels.txt").write_text("0: sky\n100: car\n200: road\n")
    assert "classes sky, road, car there, sky, car, road now" in train(folder)


def test_stray_argument(folder):
    assert "got 'steps=2', expected flags only" in train(folder, "steps=2")


def test_missing_data_folder(folder):
    assert "nowhere" in train(folder, "--data_dir=nowhere")


def test_missing_mask(folder):
    (folder / "masks" / "train" / "b.png").unlink()
    assert "b.png" in train(folder) and not (folder.parent / "run").exists()


def test_empty_list(folder):
    (folder / "train.txt").write_text("\n")
    assert "train.txt" in train(folder)


def test_missing_label_names(folder):
    (folder / "labels.txt").unlink()
    assert "labels.txt" in train(folder)


def test_mask_of_another_size(folder):
    Image.fromarray(np.zeros((70, 80), np.uint8)).save(folder / "masks" / "train" / "b.png")
    message = train(folder)
    assert "b.png" in message and "80x70" in message and "81x70" in message


def test_label_id_out_of_range(folder):
    mask = np.zeros((70, 81), np.uint8)
    mask[5, 7] = 9
    Image.fromarray(mask).save(folder / "masks" / "train" / "b.png")
    message = train(folder)
    assert "b.png" in message and "9" in message
    # Nothing was trained, so its folder is free for another attempt.
    assert "b.png" in train(folder, "--batch_size=3")


def test_truncated_jpeg(folder):
    path = folder / "images" / "train" / "b.jpg"
    path.write_bytes(path.read_bytes()[:300])
    assert "b.jpg" in train(folder)


def test_workdir_that_cannot_be_written(folder):
    file = folder.parent / "file"
    file.write_text("")
    assert "--workdir" in train(folder, f"--workdir={file}/run")


def test_weights_of_another_network(folder):
    path = folder.parent / "other.npz"
    np.savez(path, **{"res2a_branch1/kernel": np.zeros((1, 1, 64, 256), np.float32)})
    assert "other.npz" in train(folder, f"--weights={path}") and not list(pathlib.Path(folder.parent).glob("run/checkpoints/*"))
