"""The search: counting, racing, going on after a stop, and its door run as a user runs it."""

import csv
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.crf import search as crf_search
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams, load_preset
from deeplab_tf.crf.scores import load_scores, save_scores
from deeplab_tf.errors import UserError
from tests.crf.conftest import make_picture

GRID = crf_search.Grid(w1=(1, 4), sigma_alpha=(5, 20), sigma_beta=(2, 15), w2=(2,))
BASE = CrfParams(w2=2, sigma_gamma=2, iterations=3)


def write_pictures(folder, count=6, classes=3):
    """Pictures whose labels are the likeliest classes before noise was put on the probabilities."""
    pictures = []
    for seed in range(count):
        image, probs = make_picture(26, 30, classes, seed)
        labels = probs.argmax(axis=-1).astype(np.uint8)
        labels[:2] = 255
        noise = np.random.default_rng(seed).gamma(0.5, size=probs.shape)
        files = [str(folder / f"{seed}{ending}") for ending in (".npz", "_image.png", "_label.png")]
        save_scores(files[0], (probs + noise) / (probs + noise).sum(axis=-1, keepdims=True))
        Image.fromarray(image).save(files[1])
        Image.fromarray(labels).save(files[2])
        pictures.append(crf_search.Picture(str(seed), *files))
    return pictures


def read(path):
    return np.array(Image.open(path))


def run_search(pictures, log, **options):
    lines = []
    settings = {
        "grid": GRID,
        "base": BASE,
        "num_classes": 3,
        "read_image": read,
        "read_label": read,
        "log_file": log,
        "report": lines.append,
        "finer": False,
    }
    return crf_search.search(pictures, **(settings | options)), lines


def test_counts_and_mean_iou_by_hand():
    labels, predictions = np.array([[0, 0, 1], [1, 255, 2]]), np.array([[0, 1, 1], [1, 0, 1]])
    total = crf_search.counts(labels, predictions, 4, 255)
    np.testing.assert_array_equal(total, [[1, 2, 0, 0], [2, 2, 1, 0], [1, 4, 0, 0]])
    assert crf_search.mean_iou(total) == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)


def test_papers_grid_and_the_finer_one():
    grid = crf_search.Grid()
    assert len(grid.settings()) == 4 * 8 * 4
    near = grid.finer(crf_search.Setting(3, 30, 6, 3))
    assert near == crf_search.Grid((2.5, 3, 3.5), (25, 30, 35), (5.5, 6, 6.5), (3,))
    assert grid.every_third() == crf_search.Grid((3, 6), (30, 60, 90), (3, 6))
    assert grid.neighbours(crf_search.Setting(4, 100, 3, 3)) == [(3, 100, 3, 3), (5, 100, 3, 3), (4, 90, 3, 3), (4, 100, 4, 3)]


def test_the_grid_grows_where_the_best_lies_on_its_edge():
    grid = crf_search.Grid()
    assert grid.beyond(crf_search.Setting(4, 50, 4, 3)) == grid
    grown = grid.beyond(crf_search.Setting(3, 30, 6, 3))
    assert grown == crf_search.Grid((2, 3, 4, 5, 6), (20, *grid.sigma_alpha), (3, 4, 5, 6, 8), (0, 3))
    assert crf_search.Setting(3, 30, 6, 0) in grown.neighbours(crf_search.Setting(3, 30, 6, 3))
    while (
        larger := grown.beyond(
            crf_search.Setting(*(steps[place] for steps, place in zip(grown.axes.values(), (0, 0, -1, 0), strict=True)))
        )
    ) != grown:
        grown = larger
    assert grown.w1[0] == 0.25 and grown.sigma_alpha[0] == 2.5 and grown.sigma_beta[-1] == 30 and grown.w2 == (0, 3)
    assert grown.finer(crf_search.Setting(0.25, 20, 8, 0)).w1 == (0.125, 0.25, 0.375)


def test_goes_beyond_the_grid_to_what_helps_and_says_when_nothing_does(tmp_path):
    """Scores of noise that is near in place and colours of the right classes: only weak, local kernels help or nothing."""
    pictures = write_pictures(tmp_path, 6)
    far = crf_search.Grid(w1=(60, 80), sigma_alpha=(60, 80), sigma_beta=(100, 150), w2=(40,))
    found, lines = run_search(pictures, tmp_path / "found.jsonl", grid=far, base=CrfParams(w2=40, sigma_gamma=4, iterations=3))
    assert found.helps and found.params.w1 < 60 and len(lines) > 12
    assert found.rows[0].mean_iou > found.before and found.gain[0] < found.rows[0].mean_iou - found.before < found.gain[1]
    for one in pictures:  # scores that are the labels already: every CRF can only harm
        labels = read(one.label)
        save_scores(one.score, 0.98 * np.eye(3)[np.where(labels == 255, 0, labels)] + 0.02 / 3)
    none, lines = run_search(pictures, tmp_path / "none.jsonl", grid=far, base=CrfParams(w2=40, sigma_gamma=4, iterations=3))
    assert none.before == 1 and not none.helps and "nothing in the grid helps" in " ".join(lines)


def test_behind_keeps_what_chance_may_explain():
    rng = np.random.default_rng(0)
    label = np.full((20, 3), 1000)

    def setting(rate, spread):
        right = np.clip(label * rate + rng.normal(scale=spread, size=label.shape), 0, 1000).astype(int)
        return np.stack([right, label, label], axis=1)

    leader = setting(0.8, 20)
    table = np.stack([leader, leader, setting(0.79, 60), setting(0.5, 20)])
    np.testing.assert_array_equal(crf_search.behind(table), [False, False, False, True])


def test_exhaustive_search_equals_a_plain_loop(tmp_path):
    pictures = write_pictures(tmp_path)
    whole, _ = run_search(pictures, tmp_path / "whole.jsonl", exhaustive=True)
    for row in (whole.rows[0], whole.rows[-1]):
        crf = DenseCRF(CrfParams(**row.setting._asdict(), sigma_gamma=2, iterations=3))
        total = sum(
            crf_search.counts(read(one.label), crf(read(one.image), load_scores(one.score)).argmax(-1), 3, 255)
            for one in pictures
        )
        assert row.mean_iou == pytest.approx(crf_search.mean_iou(total), abs=2e-3)
    assert len(whole.rows) == 8 and whole.runs == 48 and all(row.pictures == 6 for row in whole.rows)
    assert whole.rows[0].mean_iou > whole.before


def test_search_finds_the_exhaustive_winner_with_fewer_runs(tmp_path):
    pictures = write_pictures(tmp_path, 12)
    grid = crf_search.Grid(
        w1=(1, 2, 4, 8, 16, 32), sigma_alpha=(2, 4, 8, 16, 32, 64), sigma_beta=(2, 4, 8, 16, 32, 64), w2=(2,)
    )
    whole, _ = run_search(pictures, tmp_path / "whole.jsonl", exhaustive=True, grid=grid)
    found, lines = run_search(pictures, tmp_path / "found.jsonl", grid=grid)
    exhaustive = {row.setting: row.mean_iou for row in whole.rows}
    assert whole.runs == 216 * 12 and found.runs < whole.runs / 3
    assert exhaustive[found.rows[0].setting] >= whole.rows[0].mean_iou - 0.001
    assert found.rows[0].pictures == 12 and found.rows[0].mean_iou == exhaustive[found.rows[0].setting]
    behind = [row for row in found.rows if row.pictures == 8]
    assert behind and all(exhaustive[row.setting] < whole.rows[0].mean_iou for row in behind)
    assert found.rows[-len(behind) :] == tuple(behind) and any("dropped" in line for line in lines)


def test_goes_on_from_its_log_and_refuses_another_searchs(tmp_path):
    pictures, log = write_pictures(tmp_path, 3), tmp_path / "log.jsonl"
    first, _ = run_search(pictures, log, exhaustive=True)
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:11]) + lines[11][:20])
    again, _ = run_search(pictures, log, exhaustive=True)
    assert again.rows == first.rows and again.runs == first.runs - 10
    for one in pictures[:2]:  # two score maps made anew: theirs alone are computed again
        save_scores(one.score, load_scores(one.score)[..., ::-1])
    other, _ = run_search(pictures, log, exhaustive=True)
    assert other.runs == 2 * 8 and other.before != first.before and other.rows != first.rows
    with pytest.raises(UserError, match="another output folder"):
        run_search(pictures, log, base=CrfParams(w2=5))


def test_mended_masks_and_other_pixels_are_searched_anew(tmp_path):
    pictures, log = write_pictures(tmp_path, 3), tmp_path / "log.jsonl"
    first, _ = run_search(pictures, log, exhaustive=True)
    mended = (read(pictures[0].label) + 1) % 3
    Image.fromarray(mended).save(pictures[0].label)
    again, _ = run_search(pictures, log, exhaustive=True)
    fresh, _ = run_search(pictures, tmp_path / "fresh.jsonl", exhaustive=True)
    assert again.runs == 8 and again.rows == fresh.rows != first.rows and again.before == fresh.before
    Image.fromarray(read(pictures[1].image)[:, ::-1]).save(pictures[1].image)
    assert run_search(pictures, log, exhaustive=True)[0].runs == 8
    run_search(pictures, log, exhaustive=True, read_label=lambda path: np.minimum(read(path), 1))  # another label table
    assert len(log.read_text().splitlines()) > 1 + 24 + 8 + 8 + 16


def test_stopping_waits_for_no_lattice(tmp_path, monkeypatch):
    """Ctrl-C while the second picture's lattices are in work, which here never end by themselves."""
    release, waited = threading.Event(), threading.Event()
    sweep = DenseCRF.sweep

    def endless(self, image, *rest):
        if image[0, 0, 0] == read(pictures[1].image)[0, 0, 0] and not release.wait(60):
            waited.set()
        return sweep(self, image, *rest)

    def interrupt(_):
        raise KeyboardInterrupt

    pictures = write_pictures(tmp_path, 2)
    monkeypatch.setattr(DenseCRF, "sweep", endless)
    with pytest.raises(KeyboardInterrupt):
        run_search(pictures, tmp_path / "log.jsonl", exhaustive=True, report=interrupt)
    assert not waited.is_set()
    release.set()


def test_refuses_no_pictures_and_scores_of_another_size(tmp_path):
    with pytest.raises(UserError, match="no pictures"):
        run_search([], tmp_path / "log.jsonl")
    pictures = write_pictures(tmp_path, 1)
    save_scores(pictures[0].score, make_picture(5, 5, 3)[1])
    with pytest.raises(UserError, match="0.npz: got"):
        run_search(pictures, tmp_path / "log.jsonl")


@pytest.fixture(scope="module")
def folder_dataset(tmp_path_factory):
    """A data set of kind "folder" with cached scores for its pictures."""
    root = tmp_path_factory.mktemp("search")
    for name in ("images/val", "masks/val", "scores"):
        (root / "data" / name).mkdir(parents=True)
    (root / "data/labels.txt").write_text("ground\ntree\nroad\n")
    for picture in write_pictures(root, 3):
        Image.open(picture.image).save(root / f"data/images/val/{picture.id}.png")
        Image.open(picture.label).save(root / f"data/masks/val/{picture.id}.png")
        (root / f"{picture.id}.npz").rename(root / f"data/scores/{picture.id}.npz")
    return root / "data"


def door(*flags):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "deeplab_tf.crf_search", *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_door(folder_dataset, tmp_path):
    flags = [
        f"--scores_dir={folder_dataset}/scores",
        f"--out={tmp_path}/found",
        "--dataset=folder",
        f"--data_dir={folder_dataset}",
        "--iterations=1",
        "--nofiner",
    ]
    done = door(*flags)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "mIoU" in done.stdout and "s left" in done.stdout
    found = tmp_path / "found"
    params = load_preset(found / "preset.json")
    rows = list(csv.DictReader((found / "settings.csv").open()))
    assert 12 < len(rows) < 200 and float(rows[0]["sigma_alpha"]) == params.sigma_alpha
    alphas, betas = ({row[name] for row in rows} for name in ("sigma_alpha", "sigma_beta"))
    width, height = Image.open(found / "heat_map.png").size
    assert width == max((len(alphas) + 1) * 64, 360) and height > (len(betas) + 1) * 32
    assert json.loads((found / "search.jsonl").read_text().splitlines()[0])["sigma_gamma"] == 3
    again = door(*flags)
    assert again.returncode == 2 and "--overwrite" in again.stderr and again.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "flags,message",
    [
        (["--out=x"], "scores_dir"),
        (["--scores_dir=x", "--out=y", "--data_dir=z", "--dataset=nope"], "nope"),
        (["--scores_dir=x", "--out=y", "--data_dir=z", "--sigma_gamma=0"], "sigma_gamma"),
        (["--w3=1"], "w3"),
        (["--scores_dir=x", f"--out={sys.executable}/y", "--data_dir=z"], "is not a folder"),
    ],
)
def test_door_refuses_in_one_line(flags, message):
    done = door(*flags)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
