"""`python -m deeplab_tf.refine` as a user runs it: real pictures, a run that is killed, broken files, wrong flags."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import refine
from deeplab_tf.crf.params import CrfParams, save_preset
from deeplab_tf.experiment.flags import run
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix


@pytest.fixture(scope="module")
def folders(test_data, tmp_path_factory):
    """Real pictures at a third of their size, their masks, and the masks with every pixel taken from up to 6 pixels away."""
    root, rng = tmp_path_factory.mktemp("refine"), np.random.default_rng(0)
    voc = test_data / "data/VOCdevkit/VOC2012"
    for folder in ("images", "truth", "worn"):
        (root / folder).mkdir()
    names = sorted(path.stem for path in (voc / "SegmentationClass").glob("*.png"))[:5]
    for name in names:
        picture = Image.open(voc / f"JPEGImages/{name}.jpg")
        size = (picture.width // 3, picture.height // 3)
        picture.resize(size).save(root / f"images/{name}.jpg", quality=95)
        mask = Image.open(voc / f"SegmentationClass/{name}.png").resize(size, Image.NEAREST)
        mask.save(root / f"truth/{name}.png")
        ids = np.asarray(mask)
        y, x = np.indices(ids.shape) + rng.integers(-6, 7, (2, *ids.shape))
        worn = Image.fromarray(ids[y.clip(0, size[1] - 1), x.clip(0, size[0] - 1)])
        worn = Image.frombytes("P", size, worn.tobytes())
        worn.putpalette(mask.getpalette("RGB"))
        worn.save(root / f"worn/{name}.png")
    return root


def flags(root, out, *more):
    return [f"--images={root / 'images'}", f"--labels={root / 'worn'}", f"--out={out}", *more]


def call(arguments, capsys):
    """The door in this process: what it printed, and to stderr, and its exit code."""
    code = 0
    try:
        run(refine.main, refine.define, ["refine", *arguments])
    except SystemExit as error:
        code = error.code
    return (*capsys.readouterr(), code)


def refused(arguments, capsys):
    _, errors, code = call(arguments, capsys)
    assert code == 2
    return errors.strip().splitlines()[-1]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def _pillows_limit(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # the door lifts it for its process


def start(folders, out, *more):
    command = ["-m", "deeplab_tf.refine", *flags(folders, out, f"--truth={folders / 'truth'}", *more)]
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(folders):
    """The folder of a run to the end, with two windows in work, and what it printed."""
    process = start(folders, folders / "whole", "--threads=2")
    printed, errors = process.communicate()
    assert process.returncode == 0 and "5/5" in errors, errors[-2000:]
    return folders / "whole", printed


def test_worn_masks_of_real_pictures_become_better(folders, whole):
    out, printed = whole
    assert "5 pictures refined" in printed and "5 pictures with a true mask" in printed
    result = json.loads((out / "result.json").read_text())
    assert result["judged"] == result["pictures"] == 5 and not result["failed"]
    assert result["after"]["mean_iou"] > result["before"]["mean_iou"] + 0.03
    assert {path.name for path in out.iterdir()} == {
        "result.json",
        "settings.json",
        *(path.name for path in (folders / "worn").iterdir()),
    }
    matrices = [ConfusionMatrix(21), ConfusionMatrix(21)]
    for path in (folders / "worn").iterdir():
        given, found = Image.open(path), Image.open(out / path.name)
        assert found.mode == "P" and found.size == given.size and found.getpalette() == given.getpalette()
        assert set(np.unique(found)) <= set(np.unique(given)) - {255}
        for matrix, mask in zip(matrices, (given, found), strict=True):  # no class but void takes its pixels from the truth
            truth = np.asarray(Image.open(folders / "truth" / path.name))
            matrix.update(np.where(np.asarray(given) == 255, 255, truth), np.where(np.asarray(mask) == 255, 0, mask))
    assert matrices[1].mean_iou() > matrices[0].mean_iou()


@pytest.mark.parametrize("kind", ["labels", "scores"])
def test_oriented_pictures_lie_as_their_masks_do(tmp_path, capsys, kind):
    """a's are upright, b's on the stored pixels; c is not oriented."""
    for folder in ("images", kind):
        (tmp_path / folder).mkdir()
    ids, exif = np.zeros((20, 30), np.uint8), Image.Exif()
    ids[5:15, 3:14] = 1
    picture, worn = Image.fromarray(200 * ids), ids.copy()
    worn[7, 8], exif[0x0112] = 0, 6
    for name, options in {"a": {"exif": exif}, "b": {"exif": exif}, "c": {}}.items():
        picture.save(tmp_path / f"images/{name}.png", **options)
        mask = np.rot90(worn, -1) if name == "a" else worn
        if kind == "labels":
            Image.fromarray(np.ascontiguousarray(mask)).save(tmp_path / f"labels/{name}.png")
        else:
            np.save(tmp_path / f"scores/{name}.npy", np.where(mask[..., None] == [0, 1], np.float32(0.9), np.float32(0.1)))
    folders = {name: tmp_path / name for name in ("images", kind, "out")}
    printed, _, code = call([f"--{name}={folder}" for name, folder in folders.items()], capsys)
    assert code == 0 and "2 pictures have an EXIF orientation: 1 turned upright as predict does, 1 taken as stored" in printed
    found = {name: np.asarray(Image.open(tmp_path / f"out/{name}.png")) for name in "abc"}
    np.testing.assert_array_equal(found["a"], np.rot90(ids, -1))
    np.testing.assert_array_equal(found["b"], ids)
    np.testing.assert_array_equal(found["c"], ids)


def test_masks_that_are_numbered_otherwise_than_the_true_ones_are_told_of(folders, whole, tmp_path, capsys):
    """As `predict` numbers classes from 0 where the masks hold 0 and 255."""
    assert "numbered alike" not in whole[1]
    for folder in ("images", "labels", "truth"):
        (tmp_path / folder).mkdir()
    ids = np.zeros((20, 30), np.uint8)
    ids[5:15, 5:20] = 1
    Image.fromarray(200 * ids).save(tmp_path / "images/a.png")
    Image.fromarray(ids).save(tmp_path / "labels/a.png")
    Image.fromarray(7 * ids).save(tmp_path / "truth/a.png")
    folders = {name: tmp_path / name for name in ("images", "labels", "truth", "out")}
    printed, _, code = call([f"--{name}={folder}" for name, folder in folders.items()], capsys)
    assert code == 0 and "warning: the masks hold ids 0, 1, the true ones 0, 7: expected both to be numbered alike" in printed


def test_a_run_that_is_done_is_left_as_it_is(folders, whole, capsys):
    out, _ = whole
    before = contents(out)
    printed, *_ = call(flags(folders, out, f"--truth={folders / 'truth'}", "--threads=1"), capsys)
    assert "0 pictures refined, 5 were there" in printed and contents(out) == before
    message = refused(flags(folders, out, "--certainty=0.6"), capsys)
    assert "other settings (certainty" in message and "--overwrite" in message and contents(out) == before


def test_windows_with_a_halo_of_some_sigmas_change_little(folders, tmp_path, capsys):
    save_preset(tmp_path / "preset.json", CrfParams(w1=4, sigma_alpha=8, sigma_beta=8, w2=3, sigma_gamma=2, iterations=5))
    agreement = {}
    for name, more in {"uncut": [], "cut": ["--window=110", "--halo=40"], "bare": ["--window=30", "--halo=0"]}.items():
        call(flags(folders, tmp_path / name, f"--preset={tmp_path / 'preset.json'}", *more), capsys)
        masks = [
            [np.asarray(Image.open(tmp_path / folder / path.name)) for folder in ("uncut", name)]
            for path in (folders / "worn").iterdir()
        ]
        agreement[name] = np.mean([(uncut == cut).mean() for uncut, cut in masks])
    # Not 1 with any halo: the lattice begins where the window does.
    assert agreement["uncut"] == 1 and agreement["cut"] > 0.995 > 0.99 > agreement["bare"], agreement


def test_killed_and_run_again_gives_the_same_files(folders, whole, tmp_path):
    with start(folders, tmp_path, "--threads=1") as process:
        while process.poll() is None and len(list(tmp_path.glob("[!.]*.png"))) < 2:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert 2 <= len(list(tmp_path.glob("[!.]*.png"))) < 5 and not (tmp_path / "result.json").exists()
    (tmp_path / ".2007_000033.png.0123.partial").write_bytes(b"half a file")
    with start(folders, tmp_path, "--threads=1") as process:
        printed, _ = process.communicate()
    assert process.returncode == 0 and "were there" in printed
    assert contents(tmp_path) == contents(whole[0])


def test_overwriting_may_be_stopped_too(folders, whole, tmp_path, capsys):
    """What was there under other settings is not taken for a result of the new ones."""
    call(flags(folders, tmp_path, "--preset=irn"), capsys)
    with start(folders, tmp_path, "--overwrite", "--threads=1") as process:
        marker = tmp_path / "settings.json"
        while process.poll() is None and '"sigma_alpha": 67' not in marker.read_text():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "result.json").exists()
    call(flags(folders, tmp_path, f"--truth={folders / 'truth'}"), capsys)
    assert contents(tmp_path) == contents(whole[0])


def test_broken_files_are_told_of_at_the_end_and_the_others_done(folders, tmp_path, capsys):
    for folder in ("images", "worn"):
        (tmp_path / folder).mkdir()
        for path in (folders / folder).iterdir():
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    names = sorted(path.stem for path in (tmp_path / "worn").iterdir())
    good = (tmp_path / f"worn/{names[0]}.png").read_bytes()
    (tmp_path / f"worn/{names[0]}.png").write_bytes(good[: len(good) // 2])
    (tmp_path / f"images/{names[1]}.jpg").unlink()
    Image.new("L", (10, 10)).save(tmp_path / f"worn/{names[2]}.png")
    printed, errors, code = call(flags(tmp_path, tmp_path / "out", "--threads=2"), capsys)
    lines = errors.strip().splitlines()[-4:]
    assert code == 2 and "2 pictures refined" in printed and "3 of 5 pictures failed" in lines[-1]
    for line, name, reason in zip(lines, names, ("cannot be read", "no picture", "10 x 10"), strict=False):
        assert line.startswith(f"{name}: ") and reason in line
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.png")) == names[3:]
    (tmp_path / f"worn/{names[0]}.png").write_bytes(good)
    printed, _, code = call(flags(tmp_path, tmp_path / "out"), capsys)
    assert code == 2 and "1 pictures refined, 2 were there" in printed


@pytest.fixture
def own(tmp_path):
    """A user's folder without real data: a red square on blue, its activation map and a binary mask."""
    rng = np.random.default_rng(0)
    for folder in ("images", "worn", "cams"):
        (tmp_path / folder).mkdir()
    truth = np.zeros((40, 50), bool)
    truth[10:30, 15:35] = True
    image = np.where(truth[..., None], (200, 30, 30), (30, 30, 200)) + rng.normal(scale=5, size=(40, 50, 3))
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "images/a.b.png")
    y, x = np.indices(truth.shape)
    cam = np.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 90).astype(np.float32)
    np.save(tmp_path / "cams/a.b.npy", {"keys": np.array([6]), "high_res": cam[None]})
    Image.fromarray(np.where(truth, 255, 0).astype(np.uint8)).save(tmp_path / "worn/a.b.png")
    return tmp_path


def cams(root, *more):
    return [f"--images={root / 'images'}", f"--scores={root / 'cams'}", f"--out={root / 'out'}", *more]


def test_activation_maps_of_irn(own, capsys):
    printed, _, code = call(cams(own, "--preset=irn"), capsys)
    assert code == 0 and "1 pictures refined" in printed
    found = Image.open(own / "out/a.b.png")
    assert found.mode == "L" and set(np.unique(found)) <= {0, 7, 255} and np.asarray(found)[20, 25] == 7
    assert json.loads((own / "out/settings.json").read_text())["background"] == "0.30,0.05"


def test_the_door_needs_no_tensorflow(own):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras', 'cv2', 'h5py', 'scipy'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from deeplab_tf import refine\nfrom deeplab_tf.experiment.flags import run\n"
        f"run(refine.main, refine.define, ['refine', *{cams(own, '--preset=affinitynet', '--background=power:4')!r}])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert set(np.unique(Image.open(own / "out/a.b.png"))) == {0, 7}


def test_a_missing_engine_is_told_of_once(own, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "deeplab_tf.crf._engine", None)
    monkeypatch.delattr("deeplab_tf.crf._engine", raising=False)
    _, errors, code = call(flags(own, own / "out", "--unsure=none"), capsys)
    assert code == 0 and errors.count("runs in NumPy") == 1
    assert set(np.unique(Image.open(own / "out/a.b.png"))) == {0, 255}


def test_binary_masks_are_not_taken_for_unsure_ones(own, capsys):
    message = refused(flags(own, own / "out"), capsys)
    assert "0 and 255 alone" in message and "--unsure=none" in message and not (own / "out").exists()
    printed, _, code = call(flags(own, own / "out", "--unsure=none"), capsys)
    assert code == 0 and set(np.unique(Image.open(own / "out/a.b.png"))) == {0, 255}
    before = contents(own / "out")
    printed, _, code = call(flags(own, own / "out", "--unsure=none", "--certainty=0.51", "--overwrite"), capsys)
    assert code == 0 and "1 pictures refined" in printed
    assert contents(own / "out")["settings.json"] != before["settings.json"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset=nothing"], "nothing"),
        (["--background=2"], "--background"),
        (["--certainty=2"], "--certainty"),
        (["--certainty=much"], "--certainty"),
        (["--unsure=300"], "--unsure"),
        (["--window=100"], "--window, --halo"),
        (["--preset=irn", "--unsure=none"], "--unsure"),
        (["--threads=0"], "threads"),
        ([], "--preset=irn"),
        (["--labels=x"], "both or none"),
        (["--truth=no_folder"], "--truth=no_folder"),
    ],
)
def test_wrong_flags_are_refused_in_a_line(own, capsys, more, message):
    with contextlib.chdir(own):
        printed, errors, code = call(cams(own, *more), capsys)
    assert code == 2 and message in errors and "Traceback" not in errors
    assert not list(own.glob("out/*.png"))


def test_other_peoples_files_are_not_replaced(own, capsys):
    assert "folders read from" in refused(["--unsure=none", *flags(own, own / "worn")], capsys)
    (own / "out").mkdir()
    (own / "out/a.b.png").write_bytes(b"mine")
    assert "no result of this door" in refused(flags(own, own / "out", "--unsure=none"), capsys)
    assert contents(own / "out") == {"a.b.png": b"mine"}
