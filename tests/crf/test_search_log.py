"""The search's table and heat map, and its log on a full disk."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.crf.search import Row, Setting
from deeplab_tf.crf.search_log import CELL, UNTRIED, SearchLog, write_heat_map, write_table
from deeplab_tf.errors import UserError
from tests.full_disk import full_disk

ROWS = (
    Row(Setting(3, 30, 3, 3), 0.70, 8),
    Row(Setting(4, 30, 3, 3), 0.71, 8),
    Row(Setting(4, 60, 3, 3), 0.72, 8),
    Row(Setting(4, 60, 6, 3), 0.69, 4),
)


def test_heat_map_shows_every_pair_and_which_were_not_tried(tmp_path):
    write_heat_map(tmp_path / "map.png", ROWS)
    picture = np.array(Image.open(tmp_path / "map.png"))
    wide, tall = CELL
    edge = picture[:, wide + 1 : wide + 5]  # of the first column, left of the cells' numbers
    first = np.flatnonzero((edge == edge[:, :1]).all(axis=(1, 2)) & (edge[:, 0] != 255).any(axis=1))[0]
    corner = {(x, y): tuple(map(int, picture[first + y * tall + 1, wide * (x + 1) + 1])) for x in (0, 1) for y in (0, 1)}
    assert corner[0, 1] == UNTRIED  # sigma_alpha 30 with sigma_beta 6
    assert corner[1, 0] == (255, 230, 150) and corner[1, 1] == (70, 40, 110)  # the highest and the lowest
    assert 70 < corner[0, 0][0] < 255
    assert (picture[:first] < 128).any() and (picture[first + 2 * tall :] < 128).any()  # a title, a legend
    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]


def test_results_on_a_full_disk_are_one_sentence(tmp_path):
    for write in (write_heat_map, write_table):
        with full_disk(20), pytest.raises(UserError, match="result: cannot be written .File too large"):
            write(tmp_path / "result", ROWS)
    assert not list(tmp_path.iterdir())


def test_a_log_that_a_full_disk_cut_short_goes_on(tmp_path):
    path, about, numbers = tmp_path / "log.jsonl", {"w2": 3}, np.ones((3, 2), np.int64)
    with SearchLog(path, about) as log, full_disk(100), pytest.raises(UserError, match="log.jsonl: cannot be written"):
        for picture in range(20):
            log.add(ROWS[0].setting, str(picture), numbers)
    with SearchLog(path, about) as log:
        kept = [picture for picture in range(20) if (ROWS[0].setting, str(picture)) in log]
        assert kept and kept == list(range(len(kept))) and len(kept) < 20
        np.testing.assert_array_equal(log[ROWS[0].setting, "0"], numbers)
