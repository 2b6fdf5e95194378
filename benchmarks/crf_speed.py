"""How fast the CRF is and what memory it takes, beside pydensecrf, both in turn."""

import concurrent.futures
import multiprocessing
import statistics
import tempfile
import time

import numpy as np

from benchmarks.crf_pictures import Synthetic, landscape, with_classes
from benchmarks.measuring import in_turn, resident_megabytes
from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.feature_crf import FeatureCRF, PairwiseKernel
from deeplab_tf.crf.params import CrfParams

SETTINGS = ((80, 13, 3), (67, 3, 1), (49, 5, 3), (30, 3, 3))  # sigma_alpha, sigma_beta, sigma_gamma
CLASSES = (2, 4, 21, 81, 171)


def _of_both(rounds, ours, theirs):
    """Wall and processor seconds of each call, medians over rounds in which they take turns."""
    taken = in_turn({"ours": ours, "theirs": theirs}, rounds, lambda: np.array([time.perf_counter(), time.process_time()]))
    return [tuple(np.median(times, axis=0).tolist()) for times in taken.values()]


def _params(sigmas):
    return CrfParams(4, *sigmas[:2], 3, sigmas[2])


def _compare(image, probs, sigmas, rounds, threads):
    ours, theirs = (DenseCRF(_params(sigmas), one, threads=threads) for one in ("auto", "pydensecrf"))
    return _of_both(rounds, lambda: ours(image, probs), lambda: theirs(image, probs))


def speed(pictures, kind, rounds, threads) -> dict:
    """Whole calls over pictures with probabilities, 10 iterations."""
    figures, classes = {}, pictures[0][1].shape[-1]
    for sigmas in SETTINGS:
        taken = [_compare(*picture, sigmas, rounds, threads) for picture in pictures]
        figures[str(sigmas)] = {
            "ratio": _mean(theirs[0] / ours[0] for ours, theirs in taken),
            "processor_ratio": _mean(theirs[1] / ours[1] for ours, theirs in taken),
            "seconds": statistics.median(ours[0] for ours, _ in taken),
        }
        print(
            f"{kind}, 500x375x{classes}, sigmas {sigmas}: {figures[str(sigmas)]['ratio']:.2f} times pydensecrf's speed on "
            f"{threads} threads, {figures[str(sigmas)]['processor_ratio']:.2f} times per processor second",
            flush=True,
        )
    for name in ("ratio", "processor_ratio"):
        figures[f"mean_{name}"] = _mean(figures[str(sigmas)][name] for sigmas in SETTINGS)
    print(
        f"{kind}, {classes} classes: geometric mean {figures['mean_ratio']:.2f}, per processor second "
        f"{figures['mean_processor_ratio']:.2f}",
        flush=True,
    )
    return figures


def both_kinds(source, count, rounds, threads, classes=21) -> dict:
    """Score maps of the source, and dense random ones, of which no label can be left out."""
    figures = (
        {}
        if isinstance(source, Synthetic)
        else {"real": speed(with_classes(source, count, classes), "real maps", rounds, threads)}
    )
    return figures | {"random": speed(with_classes(Synthetic(), count, classes), "random maps", rounds, threads)}


def by_classes(source, rounds, threads) -> dict:
    """The same for several numbers of classes, one picture each."""
    return {str(classes): both_kinds(source, 1, rounds, threads, classes) for classes in CLASSES}


def _mean(ratios):
    return float(np.exp(np.mean(np.log(list(ratios)))))


def large(source, rounds, threads) -> dict:
    """2048x1024x19, random and enlarged from a real map."""
    pictures = {"random": Synthetic()("0", 1024, 2048, 19)}
    if not isinstance(source, Synthetic):
        pictures["real, enlarged"] = _enlarged(*landscape(source, 1)[0])
    figures = {}
    for kind, picture in pictures.items():
        for sigmas in SETTINGS[:2]:
            ours, theirs = _compare(*picture, sigmas, rounds, threads)
            name = f"{kind}, {sigmas}"
            figures[name] = {"ratio": theirs[0] / ours[0], "processor_ratio": theirs[1] / ours[1], "seconds": ours[0]}
            print(
                f"2048x1024x19, {kind}, sigmas {sigmas}: {figures[name]['ratio']:.2f} times pydensecrf's speed, "
                f"{figures[name]['processor_ratio']:.2f} times per processor second",
                flush=True,
            )
    return figures


def _enlarged(image, probs):
    import cv2

    size = (2048, 1024)
    return cv2.resize(image, size), np.stack([cv2.resize(probs[..., c], size) for c in range(19)], axis=-1)


def volume(rounds, threads) -> dict:
    """A [16, 96, 96] volume with one channel and 4 classes: features x, y, z and the grey value."""
    import pydensecrf.densecrf as densecrf

    rng = np.random.default_rng(0)
    z, y, x = (axis.ravel().astype(np.float32) for axis in np.mgrid[:16, :96, :96])
    probs = _volume_probs(rng, x, y, z)
    grey = probs.argmax(axis=-1) * 60 + rng.normal(scale=5, size=len(x))
    kernels = [(np.stack([x / 20, y / 20, z / 8, grey / 10], axis=-1), 4.0), (np.stack([x / 3, y / 3, z / 2], axis=-1), 3.0)]
    unary = -np.log(probs)

    def ours():
        crf = FeatureCRF([PairwiseKernel(*kernel) for kernel in kernels], threads=threads)
        return crf.infer(unary, 10)

    def theirs():
        crf = densecrf.DenseCRF(*unary.shape)
        crf.setUnaryEnergy(np.ascontiguousarray(unary.T, np.float32))
        for features, weight in kernels:
            crf.addPairwiseEnergy(np.ascontiguousarray(features.T, np.float32), compat=weight)
        return np.array(crf.inference(10)).T

    return _told("volume 16x96x96x4", ours, theirs, rounds)


def _volume_probs(rng, x, y, z):
    centres = rng.uniform(0, 1, (4, 3)) * (96, 96, 16)
    scores = -np.stack([np.sqrt((x - a) ** 2 + (y - b) ** 2 + (6 * (z - c)) ** 2) for a, b, c in centres], axis=-1) / 15
    powers = np.exp(scores + rng.normal(size=scores.shape))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def drop_in(source, rounds) -> dict:
    """The same lines of pydensecrf's with either import."""
    import pydensecrf.densecrf as theirs_module

    from deeplab_tf.crf.pydensecrf import densecrf as ours_module

    image, probs = landscape(source, 1)[0]
    unary = np.ascontiguousarray(-np.log(np.maximum(probs, 1e-8)).reshape(-1, probs.shape[-1]).T)

    def run(module):
        crf = module.DenseCRF2D(image.shape[1], image.shape[0], len(unary))
        crf.setUnaryEnergy(unary)
        crf.addPairwiseGaussian(sxy=3, compat=3)
        crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
        return np.array(crf.inference(5)).T

    return _told("drop-in, pydensecrf's example settings", lambda: run(ours_module), lambda: run(theirs_module), rounds)


def _told(name, ours, theirs, rounds):
    """Agreement and speed of two functions that return beliefs [pixels, classes]."""
    found, expected = ours(), theirs()
    labels, difference = (found.argmax(-1) == expected.argmax(-1)).mean(), abs(found - expected).max()
    mine, other = _of_both(rounds, ours, theirs)
    print(
        f"{name}: {other[0] / mine[0]:.2f} times pydensecrf's speed, {other[1] / mine[1]:.2f} times per processor second; "
        f"labels equal on {100 * labels:.4f} %, largest difference in Q {difference:.1e}",
        flush=True,
    )
    return {
        "ratio": other[0] / mine[0],
        "processor_ratio": other[1] / mine[1],
        "seconds": mine[0],
        "labels": float(labels),
        "difference": float(difference),
    }


def memory(source, threads) -> dict:
    """Peak memory of one call in a process of its own, above what was in use before."""
    pictures = {("random", 21): Synthetic()("0")}
    if not isinstance(source, Synthetic):
        pictures |= {("real", classes): with_classes(source, 1, classes)[0] for classes in (2, 21, 81)}
    figures = {}
    for (kind, classes), picture in pictures.items():
        with tempfile.TemporaryDirectory(prefix="deeplab_tf_crf_") as folder:
            for name, array in zip(("image", "probs"), picture, strict=True):
                np.save(f"{folder}/{name}.npy", array)
            for sigmas in SETTINGS:
                ours, theirs = (_in_own_process(_peak, folder, one, sigmas, threads) for one in ("auto", "pydensecrf"))
                figures[f"{kind}, {classes}, {sigmas}"] = {"ours_mb": ours, "pydensecrf_mb": theirs, "ratio": ours / theirs}
                print(
                    f"memory, {kind} maps, {classes} classes, sigmas {sigmas}: {ours:.0f} MB, pydensecrf {theirs:.0f} MB",
                    flush=True,
                )
    return figures


def _in_own_process(function, *arguments):
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _peak(folder, backend, sigmas, threads):
    image, probs = np.load(f"{folder}/image.npy"), np.load(f"{folder}/probs.npy")
    crf = DenseCRF(_params(sigmas), backend, threads=threads)
    crf(image[:8, :8], probs[:8, :8])
    before = resident_megabytes("VmHWM")
    crf(image, probs)
    return resident_megabytes("VmHWM") - before
