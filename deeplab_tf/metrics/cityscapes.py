"""What Cityscapes' own evaluation gives beside the classes' IoU: categories, and classes weighted by instances (Cordts et al.,
The Cityscapes Dataset, CVPR 2016; equal to cityscapesScripts' evalPixelLevelSemanticLabeling)."""

from collections.abc import Mapping, Sequence

import numpy as np

MEAN_INSTANCE_SIZE = {  # pixels, of the training set; cityscapesScripts' avgClassSize
    "bicycle": 4672.3249222261, "motorcycle": 6298.7200839748, "rider": 3930.4788056518, "bus": 35732.1511111111,
    "train": 67583.7075812274, "car": 12794.0202738185, "person": 3462.4756337644, "truck": 27855.1264367816,
}  # fmt: skip
_LEAST_INSTANCE = 1000  # label id * 1000 + number; smaller values of an instance map are groups, which have none


def instance_weights(
    instances: np.ndarray,
    prediction: np.ndarray,
    train_id_of: Mapping[int, int],
    class_names: Sequence[str],
    categories: Sequence[str],
) -> np.ndarray:
    """Pixels of every class' instances that are found and missed, each instance weighted as one of mean size.

    Args:
      instances: integer [height, width] as *_instanceIds.png holds them.
      prediction: integer [height, width] predicted train ids.
      train_id_of: label id -> train id.
      class_names, categories: by train id.

    Returns:
      float64 [4, K]: found and missed as the class itself, found and missed as any class of its category; 0 for classes
      without instances.
    """
    found = np.zeros((4, len(class_names)))
    category_number = np.unique(np.asarray(categories), return_inverse=True)[1]
    inside = instances > _LEAST_INSTANCE
    ids, index, sizes = np.unique(instances[inside], return_inverse=True, return_counts=True)
    classes = np.array([train_id_of.get(int(value) // 1000, -1) for value in ids], int)
    known = (classes >= 0) & (classes < len(class_names))
    sizing = [MEAN_INSTANCE_SIZE.get(class_names[k]) if ok else None for k, ok in zip(classes, known, strict=True)]
    hit = prediction[inside] == classes[index]
    own = np.where(known, classes, 0)
    hit_category = category_number[prediction[inside]] == category_number[own][index]
    right = np.bincount(index, weights=hit, minlength=len(ids))
    right_category = np.bincount(index, weights=hit_category, minlength=len(ids))
    for k, size, mean, one, any_of in zip(classes, sizes, sizing, right, right_category, strict=True):
        if mean is not None:
            weight = mean / size
            found[:, k] += weight * one, weight * (size - one), weight * any_of, weight * (size - any_of)
    return found


def category_scores(
    matrix: np.ndarray, weights: np.ndarray | None, class_names: Sequence[str], categories: Sequence[str]
) -> dict[str, dict[str, float]]:
    """IoU by category, and where there are instances iIoU by class and by category; NaN where there is nothing to count.

    Args:
      matrix: int64 [K, K] confusion matrix, rows are the true class.
      weights: float64 [4, K], `instance_weights` summed over the set; None without instances.
      class_names, categories: by train id.

    Returns:
      {"category_iou": {category: …}} and, with instances, "iiou" and "category_iiou"; a category has one where all its
      classes have instances.
    """
    groups = {name: [k for k, one in enumerate(categories) if one == name] for name in dict.fromkeys(categories)}
    scores: dict = {"category_iou": {}}
    for name, members in groups.items():
        hits = matrix[np.ix_(members, members)].sum()
        scores["category_iou"][name] = _ratio(hits, matrix[members].sum() + matrix[:, members].sum() - hits)
    if weights is None:
        return scores
    scores |= {"iiou": {}, "category_iiou": {}}
    for k, name in enumerate(class_names):
        if name in MEAN_INSTANCE_SIZE:
            wrong = matrix[:, k].sum() - matrix[k, k]
            scores["iiou"][name] = _ratio(weights[0, k], weights[0, k] + weights[1, k] + wrong)
    for name, members in groups.items():
        if all(class_names[k] in MEAN_INSTANCE_SIZE for k in members):
            wrong = matrix[:, members].sum() - matrix[np.ix_(members, members)].sum()
            found, missed = weights[2, members].sum(), weights[3, members].sum()
            scores["category_iiou"][name] = _ratio(found, found + missed + wrong)
    return scores


def _ratio(part, whole) -> float:
    return float(part / whole) if whole else float("nan")
