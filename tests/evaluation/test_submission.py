"""Submissions of real pictures: names, ids and sizes as the servers want them, and what is refused."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import submit as door
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.experiment.flags import run as run_door

WHERE = {"voc2012": "data/VOCdevkit", "cityscapes": "data/cityscapes"}


@pytest.fixture
def predicted(test_data, tmp_path):
    """(data set) -> its folder, its val pictures, and a folder of made predictions in class ids or the data set's own."""

    def make(name, label_ids=False):
        spec, data = get_dataset(name), test_data / WHERE[name]
        if not (data / "VOC2012").is_dir() and name == "voc2012":
            data = data.parent
        samples = list_samples(spec, data, "val")
        folder = tmp_path / "maps"
        folder.mkdir(exist_ok=True)
        for number, sample in enumerate(samples):
            with Image.open(sample.image) as picture:
                size = picture.size[::-1]
            classes = np.random.default_rng(number).integers(0, spec.num_classes, size)
            values = np.array(spec.ids)[classes] if label_ids else classes
            Image.fromarray(values.astype(np.uint8)).save(folder / f"{sample.id}.png")
        return spec, data, samples, folder

    return make


def submit(name, data, folder, out, *flags):
    run_door(door.main, door.define, ["submit", f"--dataset={name}", f"--data_dir={data}", "--split=val",
                                      f"--predictions={folder}", f"--out={out}", *flags])  # fmt: skip


@pytest.mark.parametrize(
    "name, label_ids, first",
    [
        ("voc2012", False, "results/VOC2012/Segmentation/comp6_test_cls/{}.png"),
        ("cityscapes", False, "{}_labelIds.png"),
        ("cityscapes", True, "{}_labelIds.png"),
    ],
)
def test_what_the_servers_want(predicted, tmp_path, name, label_ids, first):
    spec, data, samples, folder = predicted(name, label_ids)
    submit(name, data, folder, tmp_path / "out.zip", *(["--label_ids"] if label_ids else []))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == [first.format(sample.id) for sample in samples]
        picture = Image.open(io.BytesIO(archive.read(archive.namelist()[0])))
    values, given = np.array(picture), np.array(Image.open(folder / f"{samples[0].id}.png"))
    if name == "voc2012":
        assert picture.mode == "P" and picture.getpalette()[3:6] == [128, 0, 0]
        np.testing.assert_array_equal(values, given)
    else:
        assert picture.mode == "L" and set(np.unique(values)) <= set(spec.ids)
        np.testing.assert_array_equal(values, given if label_ids else np.array(spec.ids)[given])


def test_maps_of_few_bits_are_packed_as_they_are_stored(predicted, few_bits, tmp_path):
    _, data, samples, folder = predicted("voc2012")
    given = np.array(Image.open(folder / f"{samples[0].id}.png")) % 16
    few_bits(folder / f"{samples[0].id}.png", given, 4)
    submit("voc2012", data, folder, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        np.testing.assert_array_equal(Image.open(io.BytesIO(archive.read(archive.namelist()[0]))), given)


def test_what_is_wrong_is_named_and_nothing_is_written(predicted, tmp_path, capsys):
    _, data, samples, folder = predicted("voc2012")
    paths = [folder / f"{sample.id}.png" for sample in samples]

    def refused(*flags):
        with pytest.raises(SystemExit) as stopped:
            submit("voc2012", data, folder, tmp_path / "out.zip", *flags)
        assert stopped.value.code == 2 and not (tmp_path / "out.zip").exists()
        return capsys.readouterr().err.splitlines()[-1]

    whole = np.array(Image.open(paths[1]))
    Image.fromarray(np.where(whole == 3, 21, whole).astype(np.uint8)).save(paths[1])
    assert f"{paths[1].name}: holds the id 21" in refused()
    Image.fromarray(np.where(whole == 3, 300, whole.astype(np.uint16))).save(paths[1])
    assert f"{paths[1].name}: holds the id 300" in refused()
    Image.fromarray(whole[:-1].astype(np.uint8)).save(paths[1])
    assert f"{paths[1].name}: is " in refused() and "one size" in refused()
    paths[1].write_bytes(b"no picture")
    assert f"{paths[1].name}: no PNG" in refused()
    paths[2].unlink()
    assert f"1 of {len(samples)} pictures have no label map ({samples[2].id})" in refused()
    with pytest.raises(SystemExit):
        submit("camvid", data, folder, tmp_path / "out.zip")
