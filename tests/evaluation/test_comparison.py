"""Two results of one set: the paired difference, what may not be compared, and the door with its page."""

import numpy as np
import pytest

from deeplab_tf import compare as door
from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.comparison import compare
from deeplab_tf.evaluation.parts import load_part, save_part
from deeplab_tf.evaluation.tally import Tally
from deeplab_tf.experiment.comparing import compare_results
from deeplab_tf.experiment.flags import run as run_door
from tests.evaluation.test_summary import SPEC, label_map, noisy


def part(folder, share, count=30, spec=SPEC, ids=None, mask_of=label_map, seed=1):
    tally = Tally(spec, False, "label_change")
    for k in range(count):
        label = mask_of(k)
        tally.add((ids or "p{}").format(k), k, label, noisy(label, seed * 1000 + k, share), None)
    folder.mkdir(exist_ok=True)
    save_part(folder / "pictures.npz", tally, {"shard": [1, 1], "settings": {"split": "val"}, "seconds": 1.0})
    return load_part(folder / "pictures.npz")


def test_a_small_difference_that_pictures_share_is_real_and_noise_is_not(tmp_path):
    one = part(tmp_path / "a", 0.20)
    better, noise = part(tmp_path / "b", 0.19), part(tmp_path / "c", 0.20, seed=2)
    real = compare(one, better)
    assert 0 < real.interval[0] < real.difference < real.interval[1] and "is real: B is better" in real.verdict()
    assert real.worse == 0 and compare(better, one).interval[1] < 0 and "worse" in compare(better, one).verdict()
    assert compare(one, better).difference == pytest.approx(-compare(better, one).difference)
    chance = compare(one, noise)
    assert chance.interval[0] < 0 < chance.interval[1] and "may be chance" in chance.verdict()
    assert 0.02 < chance.worse < 0.98
    same = compare(one, one)
    assert same.interval == (0, 0) and same.difference == 0 and "may be chance" in same.verdict()


def test_the_figures_are_those_of_the_results_and_pictures_are_sorted_by_change(tmp_path):
    one, other = part(tmp_path / "a", 0.3, 6), part(tmp_path / "b", 0.1, 6)
    found = compare(one, other)
    for place, each in enumerate((one, other)):
        right, true, predicted = each.stages["before"]["classes"].sum(axis=0)
        np.testing.assert_allclose(found.ious[place], right / (true + predicted - right))
        assert found.means[place] == pytest.approx(found.ious[place].mean())
    changes = [abs(b - a) for _, a, b in found.pictures]
    assert changes == sorted(changes, reverse=True) and {id for id, *_ in found.pictures} == set(one.ids)


def test_what_is_not_of_one_set_is_refused(tmp_path):
    import types

    one = part(tmp_path / "a", 0.2, 4)
    others = {
        "different data sets": {"spec": types.SimpleNamespace(**vars(SPEC) | {"name": "another"})},
        "different label tables": {"spec": types.SimpleNamespace(**vars(SPEC) | {"class_names": ("road", "sky", "pole")})},
        "different pictures .4 and 4; p0 is": {"ids": "q{}"},
        "different masks .p0 has other": {"mask_of": lambda k: label_map(k + 1)},
        "different masks .p2 has other": {"mask_of": lambda k: label_map(k)[:: -1 if k == 2 else 1]},  # of equal counts
    }
    for number, (message, options) in enumerate(others.items()):
        with pytest.raises(UserError, match=message):
            compare(one, part(tmp_path / f"b{number}", 0.2, 4, **options))
    with pytest.raises(UserError, match="pictures.npz: is not there; evaluate first"):
        load_part(tmp_path / "nothing" / "pictures.npz")


def two_runs(tmp_path, picture=""):
    """Of a user's own pictures, with predictions kept as eval --save_scores keeps them; `picture` is the digest they name."""
    from PIL import Image

    from deeplab_tf.crf.scores import save_scores

    data, names = tmp_path / "data", ("sky", "road", "pole")
    for kind in ("images/val", "masks/val"):
        (data / kind).mkdir(parents=True)
    (data / "labels.txt").write_text("\n".join(names) + "\n")
    spec = __import__("deeplab_tf").get_dataset("folder", data)
    for run, share in (("a", 0.3), ("b", 0.1)):
        part(tmp_path / run, share, 3, spec)
        for k in range(3):
            label = label_map(k)
            Image.fromarray(label.astype(np.uint8)).save(data / f"masks/val/p{k}.png")
            Image.fromarray((np.stack([label] * 3, -1) % 256).astype(np.uint8)).save(data / f"images/val/p{k}.png")
            (tmp_path / run / "scores").mkdir(exist_ok=True)
            scores = 0.9 * np.eye(3)[noisy(label, k, share)] + 0.1 / 3
            save_scores(tmp_path / run / "scores" / f"p{k}.npz", scores, picture)
    return data


def test_kept_predictions_of_other_pixels_are_not_shown(tmp_path):
    data = two_runs(tmp_path, picture="of another picture")
    with pytest.raises(UserError, match="holds no predictions of p. as it is now"):
        compare_results(tmp_path / "a", tmp_path / "b", tmp_path / "page.html", data_dir=data)
    assert not (tmp_path / "page.html").exists()


def test_the_door_compares_two_runs_with_their_pictures(tmp_path, capsys):
    data = two_runs(tmp_path)
    page = tmp_path / "page.html"
    command = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), f"--page={page}", f"--data_dir={data}"]
    run_door(door.main, door.define, command, positional=True)
    said = capsys.readouterr().out
    assert "pole" in said and "is real: B is better" in said and "before the CRF" in said
    assert "p0" in page.read_text() and "is real" in page.read_text()
    assert "A before CRF" in page.read_text() and "B before CRF" in page.read_text()  # the curves round boundaries
    for arguments, message in ((command, "--overwrite"), (command[:2], "got 1 folders")):
        with pytest.raises(SystemExit) as stopped:
            run_door(door.main, door.define, arguments, positional=True)
        assert stopped.value.code == 2 and message in capsys.readouterr().err
