"""The same CRF on the package pydensecrf, where it is installed: an oracle, and for who trusts it more."""

import numpy as np

from deeplab_tf.crf.mean_field import Trace
from deeplab_tf.crf.params import CrfParams


def infer(
    image: np.ndarray, unary: np.ndarray, params: CrfParams, compatibility: np.ndarray | None = None, trace: bool = False
) -> tuple[np.ndarray, Trace | None]:
    """Beliefs float32 [height, width, classes]; arguments as `mean_field.infer`, with the picture itself.

    Raises:
        ValueError: the package is not installed, or the compatibility is not symmetric.
    """
    try:
        import pydensecrf.densecrf as densecrf
    except ImportError as error:
        raise ValueError("backend: got 'pydensecrf', but that package is not installed; use 'auto'.") from error
    if compatibility is not None and not np.array_equal(compatibility, compatibility.T):
        raise ValueError("compatibility: got an asymmetric matrix, which pydensecrf does not take; use 'auto'.")
    height, width, classes = unary.shape
    mode = {
        "symmetric": densecrf.NORMALIZE_SYMMETRIC,
        "after": densecrf.NORMALIZE_AFTER,
        "before": densecrf.NORMALIZE_BEFORE,
        "none": densecrf.NO_NORMALIZATION,
    }[params.normalization]

    def compat(weight):  # the weight of Potts, or the matrix itself
        return float(weight) if compatibility is None else np.float32(weight) * compatibility

    crf = densecrf.DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(-1, classes).T))
    crf.addPairwiseGaussian(sxy=params.sigma_gamma, compat=compat(params.w2), normalization=mode)
    crf.addPairwiseBilateral(
        sxy=params.sigma_alpha,
        srgb=params.sigma_beta,
        compat=compat(params.w1),
        normalization=mode,
        rgbim=np.require(image, requirements=["C", "W"]),
    )  # it takes no read-only picture

    def picture(flat):
        return np.array(flat, np.float32).T.reshape(height, width, classes)

    if not trace:
        return np.ascontiguousarray(picture(crf.inference(int(params.iterations)))), None
    belief, score, scratch = crf.startInference()
    scores, beliefs = [-unary], [picture(belief)]
    for _ in range(int(params.iterations)):
        crf.stepInference(belief, score, scratch)
        beliefs.append(picture(belief))
        # It keeps no scores: the beliefs' logarithms are the same but for one number a pixel.
        scores.append(np.log(np.maximum(beliefs[-1], np.finfo(np.float32).tiny)))
    return beliefs[-1], Trace(np.stack(scores), np.stack(beliefs))
