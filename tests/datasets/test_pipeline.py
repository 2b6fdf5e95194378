import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets import pipeline, sources
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.errors import UserError

OPTIONS = {"crop_size": 33, "scales": (0.75, 1.0, 1.25), "seed": 4}
STEPS = 9  # of batches of 4


def batches(root, spec, **options):
    options = {"batch_size": 4, "num_steps": STEPS, **OPTIONS, **options}
    return list(sources.training(spec, root, "train", **options).as_numpy_iterator())


@pytest.fixture(scope="module")
def whole(make_folder):
    """The batches of one worker, which all others are held against."""
    return batches(*make_folder())


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in ("image", "label", "id"))


def in_batches_of(size, whole):
    """The same pictures, one after another, in batches of another size; the rest is left out."""
    flat = {key: np.concatenate([batch[key] for batch in whole]) for key in whole[0]}
    count = len(flat["id"]) // size
    return [{key: values[step * size : (step + 1) * size] for key, values in flat.items()} for step in range(count)]


def test_a_batch_is_a_function_of_seed_and_step(whole, folder):
    assert whole[0]["image"].shape == (4, 33, 33, 3) and whole[0]["image"].dtype == np.float32
    assert whole[0]["label"].dtype == np.uint8
    resumed = batches(*folder, start_step=3, num_steps=STEPS - 3, threads=1)  # of one thread as of many
    assert all(same(a, b) for a, b in zip(whole[3:], resumed, strict=True))
    assert not all(same(a, b) for a, b in zip(whole, batches(*folder, seed=5), strict=True))


def test_workers_together_see_what_one_worker_sees(whole, folder):
    parts = [batches(*folder, batch_size=6, num_steps=6, shard_index=index, shard_count=3) for index in range(3)]
    assert [len(part) for part in parts] == [6, 6, 6]
    for step, batch in enumerate(in_batches_of(6, whole)):
        joined = {key: np.concatenate([part[step][key] for part in parts]) for key in batch}
        assert same(batch, joined)


def test_workers_share_every_micro_batch(whole, folder):
    options = {"batch_size": 8, "num_steps": 4, "iter_size": 2, "shard_count": 2}
    parts = [batches(*folder, shard_index=index, **options) for index in range(2)]
    assert [len(part) for part in parts] == [4, 4]
    for step, batch in enumerate(in_batches_of(8, whole)):
        for key, values in batch.items():
            halves = [part[step][key].reshape(2, 2, *values.shape[1:]) for part in parts]
            assert np.array_equal(np.concatenate(halves, axis=1).reshape(values.shape), values)


def test_every_epoch_holds_every_picture_once_in_its_own_order(whole):
    ids = np.array([batch["id"] for batch in in_batches_of(7, whole)])
    assert ids.shape == (5, 7)
    assert all(sorted(epoch) == sorted(ids[0]) and len(set(epoch)) == 7 for epoch in ids)
    assert len({tuple(epoch) for epoch in ids}) > 1


def test_the_same_picture_is_augmented_anew_every_epoch(whole):
    epochs = in_batches_of(7, whole)[:3]
    first = [epoch["image"][list(epoch["id"]).index(b"p0")] for epoch in epochs]
    assert not np.array_equal(first[0], first[1]) or not np.array_equal(first[1], first[2])


def test_evaluation_keeps_file_order_and_size(folder):
    root, spec = folder
    for path in (root / "images/train/p0.jpg", root / "masks/train/p0.png"):  # slow to decode: the others could overtake it
        Image.open(path).resize((2400, 1800), Image.Resampling.NEAREST).save(path)
    samples = list_samples(spec, root, "train")
    examples = sources.evaluation(spec, root, "train")
    assert len(examples) == 7 and len(sources.evaluation(spec, root, "train", limit=3)) == 3
    for sample, example in zip(samples, examples, strict=True):
        assert example["id"].numpy().decode() == sample.id
        assert np.array_equal(example["image"], read_image(sample.image))
        assert np.array_equal(example["label"], read_label(sample.label, spec))


def test_missing_things_are_refused_before_the_first_step(folder):
    root, spec = folder
    (root / "masks" / "train" / "p2.png").unlink()
    with pytest.raises(UserError, match=r"p2\.png: the mask of 'p2' is missing"):
        list_samples(spec, root, "train")
    with pytest.raises(UserError, match="no such list"):
        list_samples(spec, root, "test2")
    with pytest.raises(UserError, match="no such data folder"):
        list_samples(spec, root / "nowhere", "train")
    (root / "train.txt").write_text("\n")
    with pytest.raises(UserError, match=r"train\.txt: the list is empty"):
        list_samples(spec, root, "train")


def test_endings_count_in_capitals_too(folder):
    root, spec = folder
    listed = list_samples(spec, root, "train")
    for kind, suffix in (("images", ".JpG"), ("masks", ".PNG")):
        for path in (root / kind / "train").iterdir():
            path.rename(path.with_suffix(suffix))
        (root / kind / "train" / ".jpg").write_text("no name, only an ending")
    assert [sample.id for sample in list_samples(spec, root, "train")] == [sample.id for sample in listed]
    for kind in ("images", "masks"):
        for path in (root / kind / "train").iterdir():
            path.rename(root / kind / path.name)
    (root / "ids.txt").write_text("p1\np2\n")
    (root / "names.txt").write_text("p1.JpG\nimages/p2.JpG masks/p2.PNG\n")
    for split in ("ids", "names"):
        assert [sample.label for sample in list_samples(spec, root, split)] == [str(root / f"masks/p{n}.PNG") for n in (1, 2)]


def test_a_folder_of_other_formats_says_what_is_there(folder):
    root, spec = folder
    for path in (root / "images" / "val").iterdir():
        path.rename(path.with_suffix(".bmp"))
    with pytest.raises(UserError, match=r"images/val: found 2 \.bmp, expected pictures that end in \.jpg, \.jpeg, \.png"):
        list_samples(spec, root, "val")


def test_lists_of_ids_and_of_paths_with_blanks(folder):
    root, spec = folder
    (root / "masks/train/p1.png").rename(root / "masks/ü p1.png")
    (root / "images/train/p1.jpg").rename(root / "images/ü p1.jpg")
    for line in ("ü p1", "images/ü p1.jpg masks/ü p1.png", "images/ü p1.jpg\tmasks/ü p1.png"):
        (root / "some.txt").write_text(line + "\n", encoding="utf-8")
        (sample,) = list_samples(spec, root, "some")
        assert sample.id == "ü p1" and read_label(sample.label, spec).shape == read_image(sample.image).shape[:2]
    (root / "some.txt").write_text("ü p1\nü p1\n", encoding="utf-8")
    with pytest.raises(UserError, match="stands twice"):
        list_samples(spec, root, "some")


def test_wrong_arguments():
    from deeplab_tf.datasets import specs

    with pytest.raises(UserError, match="empty"):
        pipeline.files(specs.get_dataset("voc2012"), ())
    for wrong in (
        {"batch_size": 3, "shard_count": 2},
        {"batch_size": 4, "iter_size": 2, "shard_count": 4},
        {"batch_size": 2, "shard_index": 1},
        {"batch_size": 1, "scales": ()},
    ):
        with pytest.raises(ValueError):
            pipeline.batches_of(None, crop_size=33, **wrong)


def test_the_folder_without_its_folder_is_a_sentence(folder):
    import deeplab_tf as dl

    root, spec = folder
    for call in (
        lambda: sources.training(dl.get_dataset("folder"), root, "train", crop_size=33, batch_size=2),
        lambda: sources.class_frequencies(dl.get_dataset("folder"), root, "train"),
        lambda: read_label(root / "masks/train/p1.png", dl.get_dataset("folder")),
    ):
        with pytest.raises(UserError, match=r"^get_dataset\('folder'\) knows no class, .*get_dataset\('folder', DIR\)"):
            call()
    assert sources.training(dl.get_dataset("folder", root), root, "train", crop_size=33, batch_size=2) is not None


def test_one_class_is_refused(folder):
    root, spec = folder
    sources.refuse_one_class(spec, root, "train")
    (root / "masks/train/p6.png").write_bytes(b"")  # two classes are found before
    sources.refuse_one_class(spec, root, "train")
    with pytest.raises(UserError, match="split 'val' hold nothing but 'dog', apart from classes that are ignored"):
        sources.refuse_one_class(spec, root, "val", ignored=(0, 1))
    for value, held in ((1, "'cat'"), (255, "void")):
        for path in (root / "masks/val").iterdir():
            Image.fromarray(np.full_like(np.array(Image.open(path)), value)).save(path)
        with pytest.raises(UserError, match=f"split 'val' hold nothing but {held}, expected at least two classes"):
            sources.refuse_one_class(spec, root, "val")
