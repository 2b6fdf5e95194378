"""The plan against counts by hand, and its proposals."""

import dataclasses
import math

import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.models.deeplab import build_model
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.training.planner import GIB, check_memory, measured_rate, multiply_adds, plan, proposal
from deeplab_tf.training.recompute import choose_boundaries

MEASURED = {  # MiB of the process at its peak, second step, two cores, oneDNN: (crop, batch, precision) -> resident
    "vgg16_largefov": {(321, 2, "float32"): 1319, (321, 4, "mixed_bfloat16"): 1404},
    "vgg16_aspp_l": {(257, 1, "float32"): 1381},
    "resnet50_aspp": {(257, 4, "mixed_bfloat16"): 1497},
    "resnet101_aspp": {(321, 1, "float32"): 1868, (321, 2, "float32"): 2279, (321, 1, "mixed_bfloat16"): 1577},
}


@pytest.fixture(scope="module")
def largefov():
    return build_model("vgg16_largefov", atrous_method="native")


@pytest.fixture(scope="module")
def small():
    return build_model("resnet50_aspp", 3, width=1 / 16, atrous_method="native")


def test_parameters_and_multiply_adds_of_largefov_by_hand(largefov):
    # sides at 321: 321, 161, 81, 41, 41, 41
    sides_in_out = [
        (321, 3, 64),
        (321, 64, 64),
        (161, 64, 128),
        (161, 128, 128),
        (81, 128, 256),
        (81, 256, 256),
        (81, 256, 256),
        (41, 256, 512),
        *[(41, 512, 512)] * 5,
        (41, 512, 1024),
    ]
    expected = sum(9 * side**2 * a * b for side, a, b in sides_in_out) + 41**2 * (1024 * 1024 + 1024 * 21)
    assert multiply_adds(largefov, 321) == expected
    found = plan(largefov, crop_size=321, batch_size=3, iter_size=2)
    assert found.parameters == 20_505_429 and found.multiply_adds == expected
    assert found.step_multiply_adds == 3 * 6 * expected and found.seconds is None
    assert plan(largefov, crop_size=321, batch_size=3, iter_size=2, recompute=True).step_multiply_adds == 4 * 6 * expected


def test_scales_add_up(small):
    parts = [multiply_adds(small, size) for size in (33, 49, 65)]
    found = plan(MultiScale(small), crop_size=65, batch_size=1)
    assert found.multiply_adds == sum(parts) and found.parameters == plan(small, crop_size=65, batch_size=1).parameters


@pytest.mark.parametrize("name", MEASURED)
def test_memory_is_near_the_measured_peaks(name):
    for (crop, batch, precision), truth in MEASURED[name].items():
        model = build_model(name, atrous_method="native", precision=precision)
        estimate = plan(model, crop_size=crop, batch_size=batch).memory_bytes / 2**20
        assert 0.9 * truth <= estimate <= 1.25 * truth, (name, crop, batch, precision, estimate)


def test_memory_grows_with_everything_but_recompute(largefov):
    def memory(**changes):
        return plan(largefov, **({"crop_size": 321, "batch_size": 4} | changes)).memory_bytes

    assert memory(crop_size=329) > memory() > memory(batch_size=3)
    assert memory(iter_size=2) > memory() > memory(recompute=True)
    assert memory(moments=2) - memory() == 4 * plan(largefov, crop_size=321, batch_size=4).parameters


def test_time_follows_the_rate(largefov):
    found = plan(largefov, crop_size=321, batch_size=2, steps=1000, rate=1e11)
    assert found.seconds == pytest.approx(2 * plan(largefov, crop_size=321, batch_size=2, steps=500, rate=1e11).seconds)
    assert f"{found.seconds / 60:.1f} minutes" in found.text() and "20,505,429 parameters" in found.text()
    assert "unknown" in dataclasses.replace(found, seconds=None).text()
    assert measured_rate(seconds=0.01) > 1e8


def test_time_counts_what_is_multiplied():
    """LargeFOV at 321: 7.7 G multiply-adds one by one, 43.2 G in 13.2 G products, which take as long as two each."""
    seconds = {
        method: plan(build_model("vgg16_largefov", atrous_method=method), crop_size=321, batch_size=2, rate=1e9).seconds
        for method in ("space_to_batch", "native")
    }
    assert seconds["native"] == pytest.approx(3 * 2 * (7.7 + 43.2) / 0.8, rel=0.01)
    assert seconds["space_to_batch"] == pytest.approx(3 * 2 * (7.7 + 2 * 13.2) / 0.8, rel=0.01)


def test_proposal_lowers_the_batch_first_and_keeps_the_crops_a_step(largefov):
    wanted = plan(largefov, crop_size=321, batch_size=10)
    limit = plan(largefov, crop_size=321, batch_size=5, iter_size=2).memory_bytes / GIB
    found = proposal(largefov, wanted, limit, 8)
    assert (found.crop_size, found.batch_size, found.iter_size, found.recompute) == (321, 5, 2, False)
    assert found.memory_bytes <= limit * GIB


def test_then_recompute_then_smaller_crops(largefov):
    wanted = plan(largefov, crop_size=321, batch_size=6)
    plain, again = (
        plan(largefov, crop_size=321, batch_size=1, iter_size=6, recompute=r).memory_bytes / GIB for r in (False, True)
    )
    found = proposal(largefov, wanted, (plain + again) / 2, 8)
    assert found.recompute and found.crop_size == 321 and found.batch_size * found.iter_size == 6
    found = proposal(largefov, wanted, again - 1e-3, 32)
    assert found.crop_size < 321 and found.crop_size % 32 == 1 and found.memory_bytes <= (again - 1e-3) * GIB


def test_workers_share_memory_and_time(largefov):
    alone, shared = (
        plan(largefov, crop_size=321, batch_size=batch, workers=workers, rate=1e11) for batch, workers in ((3, 1), (6, 2))
    )
    assert shared.memory_bytes == alone.memory_bytes and shared.seconds == pytest.approx(alone.seconds)
    assert shared.step_multiply_adds == 2 * alone.step_multiply_adds and "each of 2 workers" in shared.text()
    found = proposal(largefov, shared, plan(largefov, crop_size=321, batch_size=1, iter_size=2).memory_bytes / GIB, 8)
    assert (found.crop_size, found.batch_size, found.iter_size) == (321, 2, 3)


def test_a_proposal_is_one_that_the_devices_can_share(largefov):
    """Four devices of one machine: micro-batches of 8 or 4, never of 6 or 2."""
    wanted = plan(largefov, crop_size=321, batch_size=8, replicas=4)
    limit = plan(largefov, crop_size=321, batch_size=6).memory_bytes / GIB
    found = proposal(largefov, wanted, limit, 8)
    assert (found.batch_size, found.iter_size, found.crop_size) == (4, 2, 321)
    assert proposal(largefov, wanted, 1.6, 8).batch_size == 4


def test_refuses_with_one_sentence(largefov):
    wanted = plan(largefov, crop_size=321, batch_size=10)
    check_memory(largefov, wanted, math.ceil(wanted.memory_bytes / GIB), 8)
    for limit, advice in ((1.6, "take --crop_size=321 --batch_size="), (0.1, "raise the limit")):
        with pytest.raises(UserError, match="--memory_limit: training needs about .* GiB") as error:
            check_memory(largefov, wanted, limit, 8)
        assert advice in str(error.value) and "\n" not in str(error.value)


def test_boundaries_do_not_depend_on_weights(small):
    assert choose_boundaries(small)[-1] == "res5c"
