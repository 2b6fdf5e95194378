"""ImageNet's fc6 and fc7 sub-sampled to the sizes of Table 1."""

import numpy as np
import pytest

from deeplab_tf.weights.keras_names import canonical_tensors
from deeplab_tf.weights.vgg_classifier import fit_fully_connected

WIDTH = 64


@pytest.fixture
def classifier():
    random = np.random.default_rng(2)
    return {
        "fc6/kernel": random.standard_normal((7, 7, 8, WIDTH)).astype(np.float32),
        "fc6/bias": np.arange(WIDTH, dtype=np.float32),
        "fc7/kernel": random.standard_normal((1, 1, WIDTH, WIDTH)).astype(np.float32),
        "fc7/bias": np.arange(WIDTH, dtype=np.float32) + 100,
        "conv1_1/bias": np.zeros(3, np.float32),
    }


def _shapes(size, width, branches=("",)):
    result = {}
    for branch in branches:
        result |= {
            f"fc6{branch}/kernel": (size, size, 8, width),
            f"fc6{branch}/bias": (width,),
            f"fc7{branch}/kernel": (1, 1, width, width),
            f"fc7{branch}/bias": (width,),
        }
    return result


@pytest.mark.parametrize(("size", "taps"), [(4, (0, 2, 4, 6)), (3, (0, 3, 6))])
def test_taps_and_filters_agree_between_fc6_and_fc7(classifier, size, taps):
    shapes = _shapes(size, 16)
    result, notes = fit_fully_connected(classifier, shapes, seed=3)
    assert {name: result[name].shape for name in shapes} == shapes
    keep6 = result["fc6/bias"].astype(int)  # the biases number the filters
    keep7 = result["fc7/bias"].astype(int) - 100
    assert len(set(keep6)) == len(set(keep7)) == 16
    for i, j in np.ndindex(size, size):
        np.testing.assert_array_equal(result["fc6/kernel"][i, j], classifier["fc6/kernel"][taps[i], taps[j]][:, keep6])
    for row, column in np.ndindex(16, 16):
        assert result["fc7/kernel"][0, 0, row, column] == classifier["fc7/kernel"][0, 0, keep6[row], keep7[column]]
    assert "conv1_1/bias" in result and "seed 3" in notes[0]


def test_all_filters_stay_in_their_order_without_thinning(classifier):
    result, _ = fit_fully_connected(classifier, _shapes(4, WIDTH), seed=0)
    np.testing.assert_array_equal(result["fc6/kernel"], classifier["fc6/kernel"][::2, ::2])
    np.testing.assert_array_equal(result["fc7/kernel"], classifier["fc7/kernel"])


def test_the_subset_depends_on_the_seed_only_and_is_the_same_in_every_branch(classifier):
    shapes = _shapes(3, 16, ("_1", "_2", "_3", "_4"))
    first, _ = fit_fully_connected(classifier, shapes, seed=0)
    again, _ = fit_fully_connected(classifier, shapes, seed=0)
    other, _ = fit_fully_connected(classifier, shapes, seed=1)
    assert set(first) == set(shapes) | {"conv1_1/bias"}
    for name in shapes:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(first[name], first[f"{name[:3]}_1/{name.split('/')[1]}"])
    assert not np.array_equal(first["fc6_1/bias"], other["fc6_1/bias"])


@pytest.mark.parametrize("shapes", [_shapes(7, WIDTH), {"conv1_1/bias": (3,)}, _shapes(5, 16), _shapes(3, 2 * WIDTH)])
def test_what_needs_no_or_allows_no_fitting_is_left_alone(classifier, shapes):
    result, notes = fit_fully_connected(classifier, shapes, seed=0)
    assert result is classifier and notes == []


def test_keras_flattens_rows_columns_channels():
    random = np.random.default_rng(4)
    dense, x = random.standard_normal((7 * 7 * 512, 3)), random.standard_normal((7, 7, 512))
    kernel = canonical_tensors({"fc1/kernel": dense})["fc6/kernel"]
    np.testing.assert_allclose(np.einsum("yxco,yxc->o", kernel, x), x.reshape(-1) @ dense, rtol=1e-9)
    assert canonical_tensors({"fc2/kernel": np.zeros((4, 5))})["fc7/kernel"].shape == (1, 1, 4, 5)
