"""Fig. 4: the fields are those of Table 1, the taps where the convolution has them, the rates the zoo's."""

import numpy as np
import pytest

from deeplab_tf.illustrations.fields_of_view import CENTER, COLORS, drawing, field_of_view, figure_4, tap_offsets
from deeplab_tf.illustrations.responses import dense_responses
from deeplab_tf.models.zoo import ASPP_L, ASPP_S, PRESETS

TABLE_1 = {"vgg16_fc6_7x7_r4": 224, "vgg16_fc6_4x4_r4": 128, "vgg16_fc6_4x4_r8": 224, "vgg16_largefov": 224}


@pytest.mark.parametrize("name, side", TABLE_1.items())
def test_table_1(name, side):
    preset = PRESETS[name]
    assert field_of_view(preset.kernel_size, preset.rates[0]) == side


@pytest.mark.parametrize("kernel_size, rate", [(3, 1), (3, 24), (5, 3), (7, 4)])
def test_the_taps_are_where_the_layer_reads(kernel_size, rate):
    length = 2 * (kernel_size * rate) + 1
    middle = length // 2
    read = [k for k in range(length)
            if dense_responses(np.eye(length)[k], np.ones(kernel_size), rate)[middle] != 0]  # fmt: skip
    np.testing.assert_array_equal(tap_offsets(kernel_size, rate), 8 * (np.array(read) - middle))
    assert 2 * abs(tap_offsets(kernel_size, rate)).max() < field_of_view(kernel_size, rate)


@pytest.mark.parametrize("rates", [ASPP_S, ASPP_L, (12,)])
def test_every_tap_is_drawn_in_the_colour_of_its_branch(rates, picture):
    drawn = drawing(picture(50, 80), 3, rates)
    middle = len(drawn) // 2
    assert tuple(drawn[middle, middle]) == CENTER
    for rate, color in zip(rates, COLORS, strict=False):
        assert tuple(drawn[middle - 8 * rate, middle + 8 * rate]) == color
    assert not (drawn == COLORS[len(rates) % 4]).all(-1).any() or len(rates) == 4


def test_the_caption_has_the_rates(picture):
    said = figure_4(picture(50, 80), "noise").caption
    assert "ASPP-L: rates 6, 12, 18, 24, fields of 128, 224, 320, 416 pixels" in said and "LargeFOV: rates 12, " in said
