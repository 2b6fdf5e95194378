import numpy as np
import pytest

from deeplab_tf.datasets import miniature, sources, specs, statistics
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.errors import UserError


def test_scenes_are_functions_of_their_seed():
    for seed in (0, 17):
        a, b = miniature.render(seed), miniature.render(seed)
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not np.array_equal(miniature.render(0)[0][:160, :160], miniature.render(1)[0][:160, :160])


def test_scenes_hold_what_is_promised():
    sizes, histogram = set(), np.zeros(256, int)
    for seed in range(60):
        image, label = miniature.render(seed)
        assert image.dtype == label.dtype == np.uint8 and image.shape == (*label.shape, 3)
        assert 160 <= label.shape[0] <= 200 and 160 <= label.shape[1] <= 240
        sizes.add(label.shape)
        histogram += np.bincount(label.ravel(), minlength=256)
    share = histogram / histogram.sum()
    assert len(sizes) > 50 and share[6:255].sum() == 0
    assert (share[1:6] > 0.02).all() and 0.4 < share[0] < 0.8 and 0.02 < share[255] < 0.12


def test_void_lies_only_along_outlines():
    _, label = miniature.render(3)
    void = label == 255
    padded = np.pad(void, 3)
    thick = np.all([np.roll(padded, (y, x), (0, 1)) for y in range(-3, 4) for x in range(-3, 4)], axis=0)
    assert void.any() and thick.sum() < 0.05 * void.sum()


def test_the_splits_are_made_on_demand_and_disjoint(tmp_path, monkeypatch):
    monkeypatch.setattr(miniature, "SEEDS", {"train": (0, 6), "val": (1_000_000, 3)})
    spec = specs.get_dataset("miniature")
    train, val = (list_samples(spec, tmp_path, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (6, 3) and not {s.id for s in train} & {s.id for s in val}
    (batch,) = sources.training(spec, tmp_path, "train", crop_size=65, batch_size=2, num_steps=1).as_numpy_iterator()
    assert batch["image"].shape == (2, 65, 65, 3)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_changed_renderer_renders_anew_and_nothing_else_does(tmp_path, monkeypatch):
    monkeypatch.setattr(miniature, "SEEDS", {"train": (0, 6), "val": (1_000_000, 3)})
    last = miniature.ensure(tmp_path) / "images/train/0000005.jpg"
    before, written = last.read_bytes(), last.stat().st_mtime_ns
    miniature.ensure(tmp_path)
    assert last.stat().st_mtime_ns == written
    render = miniature.render
    monkeypatch.setattr(miniature, "render", lambda seed: (255 - render(seed)[0], render(seed)[1]))
    miniature.ensure(tmp_path)
    assert last.read_bytes() != before


@pytest.mark.parametrize("name", ["labels.txt", "train.txt", "images/train/0000000.jpg", "notes"])
def test_a_folder_with_other_files_is_left_alone(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="holds other files than the rendered scenes.*--dataset=folder"):
        miniature.ensure(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_an_interrupted_rendering_is_completed(tmp_path, monkeypatch):
    monkeypatch.setattr(miniature, "SEEDS", {"train": (0, 3), "val": (1_000_000, 2)})
    render = miniature.render

    def stopped(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return render(seed)

    monkeypatch.setattr(miniature, "render", stopped)
    with pytest.raises(KeyboardInterrupt):
        miniature.ensure(tmp_path)
    assert not (tmp_path / "train.txt").exists()
    monkeypatch.setattr(miniature, "render", render)
    miniature.ensure(tmp_path)
    assert [len(list_samples(specs.get_dataset("miniature"), tmp_path, split)) for split in ("train", "val")] == [3, 2]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/scenes: cannot be written \(Not a directory\)"):
        miniature.ensure(tmp_path / "file" / "scenes")


def test_median_frequency_weights_by_hand():
    spec = specs.get_dataset("pascal_person_part")
    histograms = np.zeros((2, 256), int)
    histograms[0, [0, 1]], histograms[1, [0, 2, 255]] = (60, 40), (90, 10, 7)
    frequencies = statistics.from_histograms(spec, histograms)
    assert frequencies.void == 7 and list(frequencies.pictures[:3]) == [2, 1, 1]
    f = np.array([150 / 200, 40 / 100, 10 / 100])
    weights = statistics.median_frequency_weights(frequencies)
    assert np.allclose(weights[:3], 0.4 / f) and (weights[3:] == 1).all()
    assert np.allclose(statistics.median_frequency_weights(frequencies, 0.5)[:3], np.sqrt(0.4 / f))


def test_all_void_is_all_of_it():
    histograms = np.zeros((1, 256), int)
    histograms[0, 255] = 1000
    assert "100.000%" in statistics.from_histograms(specs.get_dataset("camvid"), histograms).table()


def test_class_frequencies_of_files(folder):
    root, spec = folder
    frequencies = sources.class_frequencies(spec, root, "train")
    assert frequencies.void == 7 * 2 * 56
    assert frequencies.pixels.sum() == 56 * sum(38 + number for number in range(7))
    assert "cat" in frequencies.table()
