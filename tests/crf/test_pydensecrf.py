"""The drop-in for pydensecrf: what users of it call, beside the package itself where it is installed."""

import multiprocessing

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.crf.pydensecrf import densecrf, utils

HEIGHT, WIDTH, LABELS = 37, 53, 4
COSTS = {
    "number": 3.0,
    "numpy number": np.float32(2),
    "vector": -np.array([1, 2, 0.5, 3], np.float32),
    "matrix": np.random.default_rng(3).normal(size=(LABELS, LABELS)).astype(np.float32) - 3 * np.eye(LABELS, dtype="f4"),
}


@pytest.fixture
def original():
    return pytest.importorskip("pydensecrf.densecrf")


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 255, (5, 7, 3)), np.ones((8, 8, 1)))[:HEIGHT, :WIDTH]
    image = np.clip(coarse + rng.normal(scale=8, size=coarse.shape), 0, 255).astype(np.uint8)
    return np.array(image, order="C"), rng.gamma(1.0, size=(LABELS, HEIGHT * WIDTH)).astype(np.float32)


def assert_same(found, expected):
    found, expected = np.array(found), np.array(expected)
    assert found.shape == expected.shape and found.dtype == expected.dtype == np.float32
    assert abs(found - expected).max() <= 1e-2
    assert (found.argmax(axis=0) == expected.argmax(axis=0)).mean() >= 0.999


def pictured(module, picture, cost, normalization=3, kernel=1):
    image, unary = picture
    crf = module.DenseCRF2D(WIDTH, HEIGHT, LABELS)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=(3, 2), compat=cost, kernel=kernel, normalization=normalization)
    crf.addPairwiseBilateral(
        sxy=(30, 20), srgb=(13, 9, 20), rgbim=image, compat=cost, kernel=kernel, normalization=normalization
    )
    return crf


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("normalization", [0, 1, 2, 3])
def test_every_cost_and_normalization(original, picture, cost, normalization):
    kernel = normalization % 3
    ours, theirs = (pictured(module, picture, COSTS[cost], normalization, kernel) for module in (densecrf, original))
    assert_same(ours.inference(5), theirs.inference(5))


@pytest.mark.parametrize("normalization", [1, 3])
def test_step_by_step(original, picture, normalization):
    ours, theirs = (pictured(module, picture, COSTS["number"], normalization) for module in (densecrf, original))
    beliefs = ours.startInference()
    for step in range(4):
        # The same beliefs are judged by both.
        wrapped, *scratch = theirs.startInference()
        for _ in range(step):
            theirs.stepInference(wrapped, *scratch)
        assert ours.klDivergence(np.array(wrapped)) == pytest.approx(theirs.klDivergence(wrapped), rel=1e-3)
        assert_same(beliefs[0], wrapped)
        np.testing.assert_allclose(beliefs[0], ours.inference(step), atol=1e-5)
        ours.stepInference(*beliefs)


@pytest.mark.parametrize("dimensions", [1, 3, 8])
def test_any_features(original, dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.normal(size=(dimensions, 200)).astype(np.float32)
    unary = rng.gamma(1.0, size=(3, 200)).astype(np.float32)
    results = []
    for module in (densecrf, original):
        crf = module.DenseCRF(200, 3)
        crf.setUnaryEnergy(unary)
        crf.addPairwiseEnergy(features, compat=2)
        results.append(crf.inference(5))
    assert_same(*results)


def test_a_volume_with_two_channels(original):
    rng = np.random.default_rng(4)
    volume = np.kron(rng.normal(size=(2, 3, 2, 2)), np.ones((1, 3, 4, 5))).astype(np.float32)
    arguments = {"sdims": (2, 3, 4), "schan": (0.5, 0.7), "img": volume, "chdim": 0}
    theirs = pytest.importorskip("pydensecrf.utils").create_pairwise_bilateral(**arguments)
    features = utils.create_pairwise_bilateral(**arguments)
    np.testing.assert_allclose(features, theirs, rtol=1e-6)
    crf = densecrf.DenseCRF(features.shape[1], 2)
    crf.setUnaryEnergy(rng.gamma(1.0, size=(2, features.shape[1])))
    crf.addPairwiseEnergy(features, 3)
    assert crf.inference(3).shape == (2, 9 * 8 * 10)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("is_generic", [True, False])
def test_the_published_examples(test_data, original, number, is_generic):
    """The calls of pydensecrf's examples/inference.py on its own pictures, up to the published output."""
    folder = test_data / "reference/crf"
    image, annotation, published = (
        np.array(Image.open(folder / f"pydensecrf_examples/{name}{number}.png").convert("RGB"))
        for name in ("im", "anno", "out")
    )
    packed = annotation.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    colors, labels = np.unique(packed, return_inverse=True)
    count = len(colors) - 1  # black is unsure in all three
    unary = utils.unary_from_labels(labels, count, gt_prob=0.7, zero_unsure=True)
    height, width = image.shape[:2]

    def infer(module):
        if not is_generic:
            crf = module.DenseCRF2D(width, height, count)
            crf.setUnaryEnergy(unary)
            crf.addPairwiseGaussian(sxy=(3, 3), compat=3, kernel=module.DIAG_KERNEL, normalization=module.NORMALIZE_SYMMETRIC)
            crf.addPairwiseBilateral(sxy=(80, 80), srgb=(13, 13, 13), rgbim=image, compat=10)
            return crf.inference(5)
        crf = module.DenseCRF(width * height, count)
        crf.setUnaryEnergy(unary)
        crf.addPairwiseEnergy(utils.create_pairwise_gaussian(sdims=(3, 3), shape=image.shape[:2]), compat=3)
        features = utils.create_pairwise_bilateral(sdims=(80, 80), schan=(13, 13, 13), img=image, chdim=2)
        crf.addPairwiseEnergy(features, compat=10)
        return crf.inference(5)

    found = infer(densecrf)
    if not is_generic:
        assert_same(found, infer(original))
        return
    case = np.load(folder / f"pydensecrf_example{number}.npz")
    np.testing.assert_allclose(unary, case["unary"], rtol=1e-6)
    assert_same(found, case["Q"].reshape(count, -1))
    drawn = (colors[1:][np.argmax(found, axis=0)][:, None] >> np.array([0, 8, 16], np.uint32)) & 255
    assert (drawn.reshape(image.shape) == published).all(axis=-1).mean() >= 0.999


def test_walk_through_the_readme():
    """Every call of pydensecrf's README, in its order."""
    rng = np.random.default_rng(1)
    crf = densecrf.DenseCRF2D(64, 48, 5)
    energies = -np.log(rng.dirichlet(np.ones(5), (48, 64))).astype(np.float32).transpose(2, 0, 1).reshape((5, -1))
    image = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    crf.setUnaryEnergy(energies)
    crf.setUnary(densecrf.ConstUnary(energies))
    crf.addPairwiseGaussian(sxy=(3, 3), compat=3, kernel=densecrf.DIAG_KERNEL, normalization=densecrf.NORMALIZE_SYMMETRIC)
    crf.addPairwiseBilateral(
        sxy=(80, 80),
        srgb=(13, 13, 13),
        rgbim=image,
        compat=10,
        kernel=densecrf.DIAG_KERNEL,
        normalization=densecrf.NORMALIZE_SYMMETRIC,
    )
    beliefs = crf.inference(5)
    assert np.argmax(beliefs, axis=0).reshape((48, 64)).shape == (48, 64)
    np.testing.assert_allclose(np.array(beliefs).sum(axis=0), 1, rtol=1e-5)
    stepped, tmp1, tmp2 = crf.startInference()
    divergences = []
    for _ in range(5):
        divergences.append(crf.klDivergence(stepped))
        crf.stepInference(stepped, tmp1, tmp2)
    assert divergences[0] > divergences[-1]
    np.testing.assert_allclose(stepped, beliefs, atol=1e-5)

    short = densecrf.DenseCRF2D(64, 48, 5)
    short.setUnaryEnergy(energies)
    short.addPairwiseGaussian(sxy=3, compat=3)
    short.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
    np.testing.assert_array_equal(short.inference(5), beliefs)
    generic = densecrf.DenseCRF(100, 5)
    generic.addPairwiseEnergy(rng.normal(size=(7, 100)).astype(np.float32), compat=3)
    np.testing.assert_allclose(generic.inference(5), 1 / 5)


def test_generic_and_pictured_agree():
    """What pydensecrf's own tests ask: a bright square, the same labels from both classes."""
    image = np.zeros((10, 10, 3), np.uint8)
    image[2:8, 2:8] = 255
    maps = np.ones((2, 10, 10), np.float32)
    maps[0, [0, -1]] = maps[0][:, [0, -1]] = 2
    maps[1, 4:7, 4:7] = 2
    energies = -np.log((maps / maps.sum(axis=0)).reshape(2, -1))
    pictured, generic = densecrf.DenseCRF2D(10, 10, 2), densecrf.DenseCRF(100, 2)
    for crf in (pictured, generic):
        crf.setUnaryEnergy(energies)
    pictured.addPairwiseBilateral(sxy=2, srgb=2, rgbim=image, compat=3)
    features = utils.create_pairwise_bilateral(sdims=(2, 2), schan=2, img=image, chdim=2)
    generic.addPairwiseEnergy(features, compat=3)
    labels = np.argmax(pictured.inference(10), axis=0)
    np.testing.assert_array_equal(labels, np.argmax(generic.inference(10), axis=0))
    assert set(labels) == {0, 1}


def test_unaries_of_every_kind(original):
    rng = np.random.default_rng(6)
    weights, features = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(5, 20)).astype(np.float32)
    results = []
    for module in (densecrf, original):
        crf = module.DenseCRF(20, 3)
        crf.setUnary(module.LogisticUnary(weights, features))
        results.append(np.array(crf.inference(1)))
        crf.setUnary(module.ConstUnary(weights @ features))
        results.append(np.array(crf.inference(1)))
    np.testing.assert_allclose(results[:2], results[2:], rtol=1e-5)
    without, theirs = densecrf.DenseCRF(20, 3), original.DenseCRF(20, 3)
    np.testing.assert_array_equal(without.inference(2), theirs.inference(2))
    np.testing.assert_array_equal(without.startInference()[0], theirs.startInference()[0])
    certain = np.full((3, 20), np.inf)  # what softmax_to_unary makes of zeros
    certain[1] = 0
    without.setUnaryEnergy(certain)
    without.addPairwiseEnergy(features, 3)
    assert (np.argmax(without.inference(3), axis=0) == 1).all()


def test_arrays_may_change_after_they_were_given(picture):
    image, unary = picture[0].copy(), picture[1].copy()
    features, cost = np.random.default_rng(0).normal(size=(1, unary.shape[1])).astype(np.float32), COSTS["vector"].copy()
    crf = densecrf.DenseCRF2D(WIDTH, HEIGHT, LABELS)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseBilateral(10, 13, image, cost)
    crf.addPairwiseEnergy(features, cost)
    before = crf.inference(3)
    other = densecrf.DenseCRF2D(WIDTH, HEIGHT, LABELS)
    other.setUnaryEnergy(unary)
    other.addPairwiseBilateral(10, 13, image, cost)
    other.addPairwiseEnergy(features, cost)
    for array in (image, unary, features, cost):
        array[...] = 0
    np.testing.assert_array_equal(other.inference(3), before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda crf: crf.setUnaryEnergy(np.zeros((3, 100), "f4")), ValueError, r"Need \(2, 100\), got \(3, 100\)"),
        (lambda crf: crf.setUnaryEnergy(np.zeros((2, 10, 10), "f4")), ValueError, "2 dimensions"),
        (lambda crf: crf.setUnaryEnergy(None), ValueError, "unary energy"),
        (lambda crf: crf.setUnary(np.zeros((2, 100), "f4")), TypeError, "setUnaryEnergy"),
        (lambda crf: crf.addPairwiseEnergy(np.zeros((2, 99), "f4"), 3), ValueError, r"Need \(\?, 100\), got \(2, 99\)"),
        (lambda crf: crf.addPairwiseBilateral(3, 3, np.zeros((9, 10, 3), "u1"), 3), ValueError, r"got \(9, 10, 3\)"),
        (lambda crf: crf.addPairwiseBilateral(3, 3, np.zeros((10, 10, 4), "u1"), 3), ValueError, "only works for RGB"),
        (lambda crf: crf.addPairwiseBilateral(3, 3, np.zeros((10, 10, 3)), 3), ValueError, "uint8"),
        (lambda crf: crf.addPairwiseGaussian(3, np.array([1.0, 2.0])), ValueError, "float32"),
        (lambda crf: crf.addPairwiseGaussian(3, np.zeros((2, 2, 2), "f4")), ValueError, "dimension >2"),
        (lambda crf: crf.addPairwiseGaussian(3, np.zeros(3, "f4")), ValueError, r"\(2,\) or \(2, 2\)"),
        (lambda crf: crf.addPairwiseGaussian(0, 3), ValueError, "sxy"),
        (lambda crf: crf.addPairwiseGaussian((3,), 3), ValueError, "sxy"),
        (lambda crf: crf.addPairwiseGaussian(3, 3, normalization=9), ValueError, "9"),
        (lambda crf: crf.setKernelParameters, AttributeError, "setKernelParameters.*MeanFieldCRF"),
    ],
)
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call(densecrf.DenseCRF2D(10, 10, 2))


def test_there_are_no_eigen_wrappers():
    with pytest.raises(AttributeError, match="eigen.*NumPy"):
        from deeplab_tf.crf import pydensecrf

        pydensecrf.eigen  # noqa: B018


def _threads(_):
    return densecrf.DenseCRF(4, 2)._threads


def test_a_worker_process_takes_one_thread():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_threads, [0]) == [1]
    assert _threads(0) is None and densecrf.DenseCRF2D(2, 2, 2, threads=3)._threads == 3


def test_utils_are_pydensecrfs(caplog):
    theirs = pytest.importorskip("pydensecrf.utils")
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, (5, 6))
    probs = rng.dirichlet(np.ones(4), (5, 6)).transpose(2, 0, 1)
    calls = [
        ("unary_from_labels", (labels, 3, 0.8)),
        ("unary_from_labels", (labels, 4, 0.6, False)),
        ("unary_from_labels", (labels.astype(np.uint8), 7, 0.6, False)),
        ("compute_unary", (labels, 3)),
        ("compute_unary", (labels, 3, 0.9)),
        ("unary_from_softmax", (probs,)),
        ("unary_from_softmax", (probs, 0.6)),
        ("unary_from_softmax", (probs.astype(np.float32), None, None)),
        ("softmax_to_unary", (probs,)),
        ("unary_from_softmax", (np.eye(4)[:, :, None], None, 1e-3)),
        ("softmax_to_unary", (probs, 0.7)),
        ("create_pairwise_gaussian", ((3, 2), (5, 6))),
        ("create_pairwise_gaussian", ((3, 2, 5), (2, 3, 4))),
        ("create_pairwise_bilateral", ((3, 2), (4,), labels)),
        ("create_pairwise_bilateral", ((3, 2), 4, probs, 0)),
        ("create_pairwise_bilateral", ((3, 2), (4, 5, 6), rng.integers(0, 255, (4, 5, 3)).astype(np.uint8), 2)),
    ]
    for name, arguments in calls:
        found, expected = getattr(utils, name)(*arguments), getattr(theirs, name)(*arguments)
        assert found.dtype == expected.dtype == np.float32 and found.shape == expected.shape, name
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)
    assert {"unary_from_labels", "unary_from_softmax"} <= set(" ".join(caplog.messages).replace(",", "").split())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: utils.unary_from_labels(np.array([0, 4]), 3, 0.5), "got the id 4"),
        (lambda: utils.unary_from_labels(np.array([0, -1]), 3, 0.5), "got the id -1"),
        (lambda: utils.unary_from_labels(np.array([0, 1]), 3, 1.0), "certainty"),
        (lambda: utils.unary_from_softmax(np.ones((2, 3)), scale=1.5), "scale"),
        (lambda: utils.create_pairwise_gaussian((3,), (4, 5)), "sdims"),
        (lambda: utils.create_pairwise_bilateral((3, 3), (1, 2), np.zeros((4, 5, 3)), 2), "schan"),
    ],
)
def test_utils_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
