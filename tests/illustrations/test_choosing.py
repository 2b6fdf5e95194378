"""The rules by which pictures are chosen."""

import numpy as np

from deeplab_tf.illustrations import choosing

VALUES = np.array([0.5, np.nan, 0.1, 0.9, 0.3, 0.1, 0.7])


def test_by_rank_without_the_unknown():
    assert choosing.worst(VALUES, 3) == [2, 5, 4] and choosing.worst(VALUES, 99) == [2, 5, 4, 0, 6, 3]
    assert choosing.extremes(VALUES) == {"largest": 3, "median": 4, "lowest": 2}
    assert choosing.spread(VALUES) == {"lower quarter": 5, "median": 4, "upper quarter": 0}


def test_of_few_pictures_none_is_shown_twice():
    assert choosing.extremes(np.array([0.4])) == {"largest": 0}
    assert choosing.spread(np.array([0.4, 0.2])) == {"lower quarter": 1}


def test_the_order_of_the_pictures_does_not_matter():
    values = np.random.default_rng(0).random(40)
    order = np.random.default_rng(1).permutation(40)
    for rule in (choosing.extremes, choosing.spread):
        moved = {name: int(order[place]) for name, place in rule(values[order]).items()}
        assert moved == rule(values)
