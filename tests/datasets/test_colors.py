"""Ids to colours."""

import numpy as np
import pytest

from deeplab_tf.datasets import specs
from deeplab_tf.datasets.colors import color_table, mask_colors, train_id_colors


def test_classes_values_and_void():
    table = color_table([(1, 2, 3), (4, 5, 6), (7, 8, 9)], [0, 128, 300], void_color=(9, 9, 9))
    assert table.shape == (256, 3) and table.dtype == np.uint8
    colored = {value: tuple(table[value]) for value in np.flatnonzero(table.any(1))}
    assert colored == {0: (1, 2, 3), 128: (4, 5, 6), 255: (9, 9, 9)}
    assert not color_table([(0, 0, 0), (1, 1, 1)])[2:].any()  # black where nothing is said of void
    assert tuple(color_table([(1, 1, 1)], [255], void_color=(9, 9, 9))[255]) == (1, 1, 1)  # a class has the last word
    with pytest.raises(ValueError):
        color_table([(1, 2, 3)], [0, 1])


@pytest.mark.parametrize("name", specs.list_datasets())
def test_the_tables_of_every_data_set(name):
    spec = specs.get_dataset(name)
    by_class, by_id = train_id_colors(spec), mask_colors(spec)
    for label in spec.classes:
        assert tuple(by_class[label.train_id]) == label.color == tuple(by_id[label.id])
    assert tuple(by_class[255]) == tuple(by_id[255]) == spec.void_color
