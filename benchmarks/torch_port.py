"""The published ports' way from picture files to label files: a torch network, then pydensecrf in worker processes."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pathlib
import tempfile

import numpy as np

WORKERS = 2


def files_run(folder: str, precision: str, threads: int):
    """A run over NUMBER.png in `folder`, whose score maps for the CRF are NUMBER.npy."""
    import torch
    from PIL import Image

    from benchmarks.torch_twin import ResNet101ASPP, cast_to

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = ResNet101ASPP().eval()
    paths = sorted(pathlib.Path(folder).glob("*.png"))
    pool = concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"))

    def probabilities(path):
        image = np.asarray(Image.open(path))
        x = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)) - 110
        with torch.inference_mode(), cast_to(precision):
            logits = model(x).float()
            full = torch.nn.functional.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=True)
            return torch.softmax(full, dim=1)[0].numpy()

    def run():
        with tempfile.TemporaryDirectory(dir=folder) as out:
            jobs = []
            for path in paths:
                probabilities(path)
                jobs.append(pool.submit(_refine, str(path), out))
            for job in jobs:
                job.result()

    return run


def _refine(path: str, out: str) -> None:
    import pydensecrf.densecrf as densecrf
    from PIL import Image

    from deeplab_tf.crf.params import CrfParams

    params = CrfParams()
    image, probs = np.array(Image.open(path)), np.load(path.replace(".png", ".npy"))
    height, width, classes = probs.shape
    crf = densecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(np.ascontiguousarray(-np.log(np.maximum(probs, 1e-8)).reshape(-1, classes).T, np.float32))
    crf.addPairwiseGaussian(sxy=params.sigma_gamma, compat=params.w2)
    crf.addPairwiseBilateral(sxy=params.sigma_alpha, srgb=params.sigma_beta, rgbim=image, compat=params.w1)
    q = np.array(crf.inference(params.iterations)).reshape(classes, height, width)
    Image.fromarray(q.argmax(axis=0).astype(np.uint8)).save(pathlib.Path(out) / pathlib.Path(path).name)
