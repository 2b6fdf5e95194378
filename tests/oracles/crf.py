"""The dense CRF by its definition: every pair of pixels, float64, no lattice."""

import numpy as np


def gaussian_matrix(features: np.ndarray) -> np.ndarray:
    """[samples, d] -> [samples, samples] of exp(-|f_i - f_j|^2 / 2), the sample itself included."""
    features = features.astype(np.float64)
    distance = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
    return np.exp(-distance / 2)


def normalised(matrix: np.ndarray, normalization: str) -> np.ndarray:
    """The four normalisations of `CrfParams`."""
    total = matrix.sum(axis=1)
    if normalization == "symmetric":
        return matrix / np.sqrt(total[:, None] * total[None])
    if normalization == "after":
        return matrix / total[:, None]
    if normalization == "before":
        return matrix / total[None]
    return matrix


def exact_mean_field(image, probs, params, compatibility=None) -> np.ndarray:
    """Beliefs [height, width, classes] of mean field with exact kernels (section 3.3, equations 2 and 3)."""
    height, width, classes = probs.shape
    place = np.array([(x, y) for y in range(height) for x in range(width)], np.float64)
    colour = image.reshape(-1, 3).astype(np.float64)
    both = np.concatenate([place / params.sigma_alpha, colour / params.sigma_beta], axis=1)
    kernel = params.w1 * normalised(gaussian_matrix(both), params.normalization) + params.w2 * normalised(
        gaussian_matrix(place / params.sigma_gamma), params.normalization
    )
    cost = 1 - np.eye(classes) if compatibility is None else np.asarray(compatibility, np.float64)
    unary = -np.log(np.maximum(probs.reshape(-1, classes).astype(np.float64), 1e-8))
    belief = _softmax(-unary)
    for _ in range(params.iterations):
        belief = _softmax(-unary - (kernel @ belief) @ cost.T)
    return belief.reshape(height, width, classes)


def _softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def slow_lattice_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Permutohedral filtering sample by sample with dictionaries: finds each enclosing simplex by its definition.

    Independent of the packed keys, sorting and vector code of the package; float64. features [n, d], values [n, c].
    """
    samples, dims = features.shape
    spread: dict[tuple, np.ndarray] = {}
    corners_of = []
    for feature, value in zip(features.astype(np.float64), values.astype(np.float64), strict=True):
        corners = _simplex(feature, dims)
        corners_of.append(corners)
        for point, weight in corners:
            spread[point] = spread.get(point, 0) + weight * value
    for axis in range(dims + 1):
        step = -np.ones(dims + 1, int)
        step[axis] += dims + 1
        spread = {
            point: total + 0.5 * sum(spread.get(tuple((np.array(point) + sign * step).tolist()), 0) for sign in (-1, 1))
            for point, total in spread.items()
        }
    alpha = 1 / (1 + 2.0**-dims)
    return np.array([alpha * sum(weight * spread[point] for point, weight in corners) for corners in corners_of])


def _simplex(feature, dims):
    """The d + 1 lattice points round a sample and its barycentric weights."""
    deviation = np.sqrt(2 / 3) * (dims + 1)
    scaled = [feature[i] * deviation / np.sqrt((i + 1) * (i + 2)) for i in range(dims)]
    elevated = np.array([sum(scaled[i:]) - i * (scaled[i - 1] if i else 0) for i in range(dims + 1)])
    # The nearest point whose coordinates are multiples of d + 1 and sum to 0.
    nearest = np.rint(elevated / (dims + 1)) * (dims + 1)
    while (excess := round(nearest.sum() / (dims + 1))) != 0:
        difference = elevated - nearest
        place = difference.argmin() if excess > 0 else difference.argmax()
        nearest[place] -= np.sign(excess) * (dims + 1)
    difference = elevated - nearest
    order = np.argsort(-difference, kind="stable")
    ordered = difference[order]
    corners = []
    for colour in range(dims + 1):
        point = nearest + colour
        point[order[dims + 1 - colour :]] -= dims + 1
        below = ordered[dims - colour]
        above = ordered[dims - colour + 1] if colour else ordered[0] - (dims + 1)
        corners.append((tuple(point.astype(int).tolist()), (below - above) / (dims + 1)))
    return corners
