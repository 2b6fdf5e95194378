"""The TFDS builders, by TFDS's own test case, and training from their shards."""

import pathlib
import shutil
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from deeplab_tf.datasets import pipeline, sources, specs
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.tfds import builders, records
from deeplab_tf.errors import UserError

COUNTS = {"voc2012": {"train": 2, "train_aug": 3, "val": 1}, "cityscapes": {"train": 2, "val": 1, "train_extra": 1}}


def write_example(name: str, root: pathlib.Path) -> None:
    """A tiny data set in the layout of its owners (or as prepared), palette masks where they have them."""
    spec, random = specs.get_dataset(name), np.random.default_rng(0)
    ids = [label.id for label in spec.labels if label.id >= 0]
    for split, count in COUNTS.get(name, {"train": 2, "val": 1}).items():
        lines = []
        for number in range(count):
            picture = Image.fromarray(random.integers(0, 256, (12, 17, 3), np.uint8))
            mask = Image.fromarray(random.choice(ids, (12, 17)).astype(np.uint8))
            if name == "cityscapes":
                gt = "gtCoarse" if split == "train_extra" else "gtFine"
                image_path = root / "leftImg8bit" / split / "ulm" / f"ulm_{number}_leftImg8bit.png"
                mask_path = root / gt / split / "ulm" / f"ulm_{number}_{gt}_labelIds.png"
            else:
                mask.putpalette(random.integers(0, 256, 768, np.uint8).tobytes())
                image_path, mask_path = root / "images" / f"{split}{number}.jpg", root / "masks" / f"{split}{number}.png"
                lines.append(f"images/{image_path.name}\tmasks/{mask_path.name}\n")
            for path, image in ((image_path, picture), (mask_path, mask)):
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
        if lines:
            (root / f"{split}.txt").write_text("".join(lines))


class BuilderCase(tfds.testing.DatasetBuilderTestCase):
    """What all builders share; the example data are made for the class."""

    EXAMPLE_DIR = ""
    NAME = ""

    @classmethod
    def setUpClass(cls):
        if not cls.NAME:
            pytest.skip("the shared part of the cases")
        folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, folder)
        write_example(cls.NAME, pathlib.Path(folder))
        cls.EXAMPLE_DIR = folder
        cls.dummy_data = pathlib.Path(folder)
        super().setUpClass()


def case(name: str) -> type:
    splits = COUNTS.get(name, {"train": 2, "val": 1})
    attributes = {"NAME": name, "DATASET_CLASS": builders.BUILDERS[name], "SPLITS": splits, "SKIP_CHECKSUMS": True}
    return type(f"Test_{name}", (BuilderCase,), attributes)  # noqa: F821 (deleted below: pytest would collect it)


TestVoc2012 = case("voc2012")
TestPascalContext = case("pascal_context")
TestPascalPersonPart = case("pascal_person_part")
TestCityscapes = case("cityscapes")
TestCocoVoc = case("coco_voc")
TestCoco = case("coco")
del BuilderCase


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    root = tmp_path_factory.mktemp("voc")
    write_example("voc2012", root)
    return root, builders.write_records("voc2012", root, tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def examples(shards):
    return list(sources.evaluation(specs.get_dataset("voc2012"), shards[1], "train_aug").as_numpy_iterator())


def test_records_hold_exactly_what_the_files_hold(shards, examples):
    root, _ = shards
    spec = specs.get_dataset("voc2012")
    samples = {sample.id: sample for sample in list_samples(spec, root, "train_aug")}
    assert {example["id"].decode() for example in examples} == set(samples)
    for example in examples:
        sample = samples[example["id"].decode()]
        assert np.array_equal(example["image"], read_image(sample.image))
        assert np.array_equal(example["label"], np.asarray(Image.open(sample.label)))  # the palette's indices


def beam_config(source, **options):
    pipeline_options = pytest.importorskip("apache_beam.options.pipeline_options", reason="apache-beam is not installed")
    beam_options = pipeline_options.PipelineOptions(["--runner=DirectRunner"])
    return tfds.download.DownloadConfig(manual_dir=source, beam_options=beam_options, **options)


def of_folder(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*.array_record*")}


def test_beam_writes_the_same_records(shards, tmp_path):
    root, directory = shards
    builder = builders.BUILDERS["voc2012"](data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare(download_config=beam_config(root))
    assert of_folder(pathlib.Path(builder.data_dir)) == of_folder(directory) and len(of_folder(directory)) == 3
    names = {path.name for path in directory.iterdir()} - {"made_from.json"}
    assert {path.name for path in pathlib.Path(builder.data_dir).iterdir()} == names
    assert builder.info.splits["train_aug"].num_examples == 3


def test_beam_keeps_the_order_over_several_shards_and_refuses_a_bad_file(tmp_path):
    write_example("voc2012", tmp_path / "voc")
    for name in ("images/train_aug0.jpg", "masks/train_aug0.png"):  # 40 pictures
        for number in range(3, 40):
            shutil.copy(tmp_path / "voc" / name, tmp_path / "voc" / name.replace("aug0", f"aug{number}"))
    lines = "".join(f"images/train_aug{number}.jpg\tmasks/train_aug{number}.png\n" for number in range(40))
    (tmp_path / "voc/train.txt").write_text(lines)
    for split in ("train_aug", "val"):
        (tmp_path / f"voc/{split}.txt").unlink()
    orders = []
    for name, config in (
        ("one", tfds.download.DownloadConfig(manual_dir=tmp_path / "voc", num_shards=4)),
        ("beam", beam_config(tmp_path / "voc", num_shards=4)),
    ):
        builder = builders.BUILDERS["voc2012"](data_dir=tmp_path / name, file_format="array_record")
        builder.download_and_prepare(download_config=config)
        assert len(builder.info.splits["train"].shard_lengths) == 4
        found = sources.evaluation(specs.get_dataset("voc2012"), builder.data_dir, "train").as_numpy_iterator()
        orders.append([example["id"].decode() for example in found])
    assert orders[0] == orders[1] and len(set(orders[0])) == 40
    (tmp_path / "voc/images/train_aug7.jpg").write_bytes(b"no picture")
    builder = builders.BUILDERS["voc2012"](data_dir=tmp_path / "bad", file_format="array_record")
    with pytest.raises(Exception, match=r"train_aug7\.jpg: "):
        builder.download_and_prepare(download_config=beam_config(tmp_path / "voc"))
    assert not list(tmp_path.glob("bad/**/dataset_info.json"))


def test_batches_resume_and_shard_as_those_of_files(shards):
    _, directory = shards
    spec = specs.get_dataset("voc2012")

    def batches(**options):
        options = {"crop_size": 9, "batch_size": 4, "num_steps": 4, "seed": 3, **options}
        return list(sources.training(spec, directory, "train_aug+val", **options).as_numpy_iterator())

    whole = batches()
    assert all(len(set(batch["id"])) == 4 for batch in whole)  # four records: a batch is an epoch
    parts = [batches(start_step=1, num_steps=3, shard_index=index, shard_count=2) for index in (0, 1)]
    for a, left, right in zip(whole[1:], *parts, strict=True):
        assert all(np.array_equal(a[key], np.concatenate([left[key], right[key]])) for key in a)


def test_order_and_augmentation_are_those_of_the_file_pipeline(shards, examples):
    root, directory = shards
    spec = specs.get_dataset("voc2012")
    order = [example["id"].decode() for example in examples]
    samples = {sample.id: sample for sample in list_samples(spec, root, "train_aug")}
    options = {"crop_size": 9, "batch_size": 2, "num_steps": 3, "scales": (0.75, 1.5)}
    files = pipeline.batches_of(pipeline.files(spec, [samples[name] for name in order]), **options)
    with sources.errors(spec, directory, "train_aug"):
        for a, b in zip(files, sources.training(spec, directory, "train_aug", **options), strict=True):
            assert all(np.array_equal(a[key], b[key]) for key in a)


def test_one_call_reads_files_and_records(shards):
    root, directory = shards
    spec = specs.get_dataset("voc2012")
    with sources.errors(spec, root, "train_aug"):  # training from records: the test before
        (batch,) = sources.training(spec, root, "train_aug", crop_size=9, batch_size=2, num_steps=1)
    assert batch["image"].shape == (2, 9, 9, 3)
    for data_dir in (root, directory):
        assert sources.open_split(spec, data_dir, "train_aug").count == 3
        assert len(list(sources.evaluation(spec, data_dir, "train_aug+val", limit=2))) == 2
    tables = [sources.class_frequencies(spec, data_dir, "train_aug").table() for data_dir in (root, directory)]
    assert tables[0] == tables[1]


def test_a_record_that_does_not_decode_is_named_by_its_folder(shards, monkeypatch):
    _, directory = shards
    spec = specs.get_dataset("voc2012")
    load = records._load
    monkeypatch.setattr(records, "_load", lambda directory, image, *row: load(directory, tf.strings.substr(image, 0, 99), *row))
    with pytest.raises(UserError, match=r"1\.0\.0: a record of split 'train' does not decode"):
        with sources.errors(spec, directory, "train"):
            list(sources.training(spec, directory, "train", crop_size=9, batch_size=2, num_steps=1))


def test_wrong_folders_and_splits_are_named(shards, tmp_path):
    _, directory = shards
    with pytest.raises(UserError, match="expected a folder with dataset_info.json"):
        records.open_records(specs.get_dataset("voc2012"), tmp_path, "train")
    with pytest.raises(UserError, match="no split 'nope'"):
        records.open_records(specs.get_dataset("voc2012"), directory, "nope")
    with pytest.raises(UserError, match="other classes"):
        records.open_records(specs.get_dataset("cityscapes"), directory, "train")
    with pytest.raises(UserError, match="no record format"):
        builders.write_records("camvid", tmp_path, tmp_path)


def test_a_split_with_a_wrong_file_is_never_left_out(tmp_path, capsys):
    """What is not there at all is left out by name; a lost or broken picture ends the build."""
    write_example("voc2012", tmp_path / "voc")
    (tmp_path / "voc/train.txt").unlink()
    picture = tmp_path / "voc/images/val0.jpg"
    contents = picture.read_bytes()
    for spoil in (picture.unlink, lambda: picture.write_bytes(contents[:300])):
        spoil()
        with pytest.raises(UserError, match=r"images/val0\.jpg: "):
            builders.write_records("voc2012", tmp_path / "voc", tmp_path / "records")
        assert not list(tmp_path.glob("records/**/dataset_info.json"))
    picture.write_bytes(contents)
    directory = builders.write_records("voc2012", tmp_path / "voc", tmp_path / "records")
    said = capsys.readouterr().out
    assert "voc2012 records, train_aug: 3 pictures\n  voc2012 records, val: 1 pictures\n" in said
    assert "voc2012 records, train: left out, it is not there (" in said and "train.txt" in said
    before = {path: path.read_bytes() for path in tmp_path.glob("records/**/*") if path.is_file()}
    assert builders.write_records("voc2012", tmp_path / "voc", tmp_path / "records") == directory
    shutil.copytree(tmp_path / "voc", tmp_path / "other")
    with pytest.raises(UserError, match="holds voc2012 from .*voc, which is not what the sources given hold; choose"):
        builders.write_records("voc2012", tmp_path / "other", tmp_path / "records")
    write_example("voc2012", tmp_path / "voc")  # train is there now
    with pytest.raises(UserError, match="holds 0 records of split 'train', the source has 2 pictures now"):
        builders.write_records("voc2012", tmp_path / "voc", tmp_path / "records")
    assert {path: path.read_bytes() for path in tmp_path.glob("records/**/*") if path.is_file()} == before
