"""Overlays and charts, which pages and result files share."""

import math

import numpy as np
import pytest

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.pages.chart import HEIGHT, Chart, Line, round_numbers
from deeplab_tf.pages.pictures import overlay


def test_overlay_is_the_mean_of_picture_and_colours(picture):
    image = picture(7, 9)
    labels = np.random.default_rng(1).integers(0, 3, (7, 9))
    colors = color_table([(0, 0, 0), (255, 0, 255), (1, 2, 3)])
    expected = np.floor((image.astype(float) + colors[labels]) / 2)
    np.testing.assert_array_equal(overlay(image, labels, colors), expected.astype(np.uint8))


@pytest.mark.parametrize("low, high", [(0, 1), (0, 0), (0, 0.0037), (51.2, 54.4), (-3, 20), (0, 20000), (7, 7), (0, 1e-9)])
def test_round_numbers_enclose_the_values(low, high):
    ticks = round_numbers(low, high)
    steps = np.diff(ticks)
    assert ticks[0] <= low + 1e-9 and ticks[-1] >= high - 1e-9 and 2 <= len(ticks) <= 9
    np.testing.assert_allclose(steps, steps[0])
    leading = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(leading - nice) for nice in (1, 2, 2.5, 5)) < 1e-6


def test_names_of_lines_do_not_lie_on_each_other():
    lines = [Line(f"run {k}", [0, 1], [0, 50 + 0.1 * k], k) for k in range(5)] + [Line("low", [0, 1], [0, 0], 5)]
    drawing = Chart("title", lines).drawing()
    places = sorted(y for _, y in drawing["names"])
    assert min(np.diff(places)) >= 15 and 0 < places[0] and places[-1] <= HEIGHT
    order = [line.name for line, _ in sorted(drawing["names"], key=lambda named: named[1])]
    assert order == ["run 4", "run 3", "run 2", "run 1", "run 0", "low"]


def test_gaps_are_left_out_and_long_lines_thinned_to_their_ends():
    gap = Line("", [0, 1, 2], [math.nan, 2.0, 4.0])
    assert gap.points() == [(1, 2.0), (2, 4.0)] and not Chart("empty", [Line("", [0], [math.nan])])
    long = Chart("long", [Line("", range(10_000), range(10_000))]).drawing()["paths"][0][1]
    spots = long[1:].split(" L")
    assert len(spots) <= 402 and spots[0] == "48.0 226.0" and spots[-1] == "600.0 16.0"
