"""Loading into the zoo: coverage of the backbone, heads of another size, growth, and every file format of our own."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.errors import UserError
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.weights import load_weights
from deeplab_tf.weights.loading import canonical_variables
from deeplab_tf.weights.npz import write_npz
from deeplab_tf.weights.reading import read_weights


@pytest.mark.parametrize("name", ["vgg16_aspp_s", "resnet50_aspp"])
@pytest.mark.parametrize("suffix", [".npz", ".weights.h5"])
def test_round_trip_is_exact(tmp_path, small_model, tensors_of, picture, name, suffix):
    source, target = small_model(name, seed=1), small_model(name, seed=2)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        write_npz(path, tensors_of(source))
    else:
        source.save_weights(path)
    report = load_weights(target, path)
    assert not report.skipped and not report.reinitialised
    assert set(report.loaded) == set(tensors_of(source))
    np.testing.assert_array_equal(np.asarray(target(picture)), np.asarray(source(picture)))


def test_half_precision_loads_as_float32(tmp_path, small_model, tensors_of):
    model = small_model("vgg16_largefov")
    tensors = {name: value.astype(np.float16) for name, value in tensors_of(model).items()}
    np.savez(tmp_path / "a.npz", **tensors)
    load_weights(model, tmp_path / "a.npz")
    for name, value in tensors_of(model).items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, tensors[name].astype(np.float32))


@pytest.mark.parametrize(("name", "branches"), [("resnet50_aspp", 4), ("vgg16_largefov", 1), ("vgg16_aspp_l", 4)])
def test_another_number_of_classes_keeps_only_the_fresh_head(tmp_path, small_model, tensors_of, name, branches):
    source, model = small_model(name, 21, seed=1), small_model(name, 7, seed=2)
    write_npz(tmp_path / "a.npz", tensors_of(source))
    fresh = tensors_of(model)
    report = load_weights(model, tmp_path / "a.npz")
    assert len(report.reinitialised) == 2 * branches
    assert set(report.skipped) == set(report.reinitialised)
    head = set(report.reinitialised)
    assert all(entry.startswith(("fc8_voc12", "fc1_voc12")) for entry in head)
    after, given = tensors_of(model), tensors_of(source)
    for entry, value in after.items():
        np.testing.assert_array_equal(value, fresh[entry] if entry in head else given[entry])
    assert sum("re-initialised" in note for note in report.notes) == 2 * branches
    assert f"{2 * branches} re-initialised" in report.table()


def test_a_head_is_taken_whole_or_not_at_all(tmp_path, small_model, tensors_of):
    model = small_model("resnet50_aspp", seed=1)
    tensors = tensors_of(model)
    del tensors["fc1_voc12_c2/kernel"]
    write_npz(tmp_path / "a.npz", tensors)
    report = load_weights(model, tmp_path / "a.npz")
    assert len(report.reinitialised) == 8


def test_missing_fully_connected_layers_are_listed(tmp_path, small_model, tensors_of):
    model = small_model("vgg16_largefov", seed=1)
    tensors = {name: value for name, value in tensors_of(model).items() if not name.startswith("fc")}
    write_npz(tmp_path / "a.npz", tensors)
    report = load_weights(model, tmp_path / "a.npz")
    assert {name.split("/")[0] for name in report.reinitialised} == {"fc6", "fc7", "fc8_voc12"}
    assert len(report.loaded) == 26


@pytest.mark.parametrize("gone", ["conv5_3/bias", "conv1_1/kernel"])
def test_an_incomplete_backbone_stops_and_changes_nothing(tmp_path, small_model, tensors_of, gone):
    source, model = small_model("vgg16_largefov", seed=1), small_model("vgg16_largefov", seed=2)
    tensors = tensors_of(source)
    del tensors[gone]
    write_npz(tmp_path / "a.npz", tensors)
    before = tensors_of(model)
    with pytest.raises(UserError, match=f"25 of the 26.*{gone}"):
        load_weights(model, tmp_path / "a.npz")
    for name, value in tensors_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_deeper_net_is_not_taken_for_this_one(tmp_path, small_model, tensors_of):
    model = small_model("vgg16_largefov")
    vgg19 = tensors_of(model) | {"conv5_4/kernel": np.zeros((3, 3, 64, 64)), "conv5_4/bias": np.zeros(64)}
    write_npz(tmp_path / "a.npz", vgg19)
    with pytest.raises(UserError, match="conv5_4/kernel.*deeper"):
        load_weights(model, tmp_path / "a.npz")


def test_another_width_another_net_and_damaged_values_stop(tmp_path, small_model, tensors_of):
    model = small_model("vgg16_largefov")
    write_npz(tmp_path / "wide.npz", tensors_of(small_model("vgg16_largefov", width=0.25)))
    with pytest.raises(UserError, match="conv1_1/kernel has the shape"):
        load_weights(model, tmp_path / "wide.npz")
    write_npz(tmp_path / "resnet.npz", tensors_of(small_model("resnet50")))
    with pytest.raises(UserError, match="0 of the 26"):
        load_weights(model, tmp_path / "resnet.npz")
    tensors = tensors_of(model)
    tensors["conv2_1/kernel"][0, 0, 0, 0] = np.nan
    write_npz(tmp_path / "nan.npz", tensors)
    with pytest.raises(UserError, match="conv2_1/kernel.*not finite"):
        load_weights(model, tmp_path / "nan.npz")


@pytest.mark.parametrize("suffix", [".npz", ".weights.h5", ".h5", ".pth", ".caffemodel", ".ckpt", ".txt"])
def test_files_that_are_not_what_they_are_called(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(UserError, match="no such file"):
        read_weights(path)
    path.write_bytes(b"PK\x03\x04 and then nothing that makes sense" * 9)
    with pytest.raises(UserError) as error:
        read_weights(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_truncated_archive(tmp_path, small_model, tensors_of):
    path = tmp_path / "a.npz"
    write_npz(path, tensors_of(small_model("vgg16_largefov")))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="a.npz"):
        load_weights(small_model("vgg16_largefov"), path)


def test_multi_scale_shares_its_network(tmp_path, small_model, tensors_of):
    source, network = small_model("vgg16_largefov", seed=1), small_model("vgg16_largefov", seed=2)
    write_npz(tmp_path / "a.npz", tensors_of(source))
    load_weights(MultiScale(network), tmp_path / "a.npz")
    expected = tensors_of(source)
    for name, value in tensors_of(network).items():
        np.testing.assert_array_equal(value, expected[name])


def test_resnet101_grown_from_resnet50_equals_it_exactly(tmp_path, small_model, tensors_of, picture):
    small, grown = small_model("resnet50_largefov", seed=1), small_model("resnet101_largefov", seed=2)
    write_npz(tmp_path / "a.npz", tensors_of(small))
    report = load_weights(grown, tmp_path / "a.npz")
    assert not report.reinitialised and not report.skipped
    np.testing.assert_array_equal(np.asarray(grown(picture)), np.asarray(small(picture)))
    assert report.grown == tuple(f"bn4b{i}_branch2c/gamma" for i in range(6, 23))
    tensors = tensors_of(grown)
    assert all((tensors[name] == 0).all() for name in report.grown)
    assert "unfreeze" in report.table()
    _check_that_gammas_let_blocks_train(grown, picture)


def _check_that_gammas_let_blocks_train(model, picture):
    """A zero gamma has a gradient; once it moved, the convolutions of its block have one too."""
    variables = canonical_variables(model)
    gamma, kernel = variables["bn4b9_branch2c/gamma"], variables["res4b9_branch2b/kernel"]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([gamma.value, kernel.value])
            loss = tf.reduce_mean(model(picture) ** 2)
        return tape.gradient(loss, [gamma.value, kernel.value])

    at_zero = gradients()
    assert np.abs(at_zero[0]).max() > 0 and np.abs(at_zero[1]).max() == 0
    gamma.assign(np.full(gamma.shape, 0.1, np.float32))
    assert np.abs(gradients()[1]).max() > 0
