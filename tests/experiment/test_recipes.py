"""The published recipes and what an experiment does otherwise."""

import subprocess
import sys

import pytest

from deeplab_tf.experiment.config import DataConfig, ExperimentConfig, ModelConfig, SolverConfig
from deeplab_tf.experiment.recipes import describe, deviations, notes, recipe

VGG = dict(model="vgg16_aspp_l", dataset="voc2012", train_split="train_aug", weights="vgg16_imagenet")
RESNET = dict(
    model="resnet101_aspp", dataset="voc2012", train_split="train_aug", weights="init.caffemodel",
    base_learning_rate=2.5e-4, batch_size=1, iter_size=10, scales=(0.5, 0.75, 1.0),
    augment_scales=(0.5, 0.75, 1.0, 1.25, 1.5),
)  # fmt: skip
INDIFFERENT = {
    "model", "atrous_method",  # which network, and how it is computed: the numbers are the same
    "dataset", "data_dir", "labels", "eval_split",
    "recompute", "memory_limit", "strategy", "cpu_devices",
    "eval_every", "eval_images", "collapse_after", "seed", "save_every", "keep_checkpoints", "log_every",
}  # fmt: skip
"""Settings that do not change what is learnt, but by the rounding of another order of additions."""


def create(base, **settings):
    return ExperimentConfig.create(**base | settings)


def test_every_setting_is_compared_or_known_to_be_indifferent():
    settings = {name for part in (ModelConfig, DataConfig, SolverConfig) for name in part.__dataclass_fields__}
    assert set(recipe(create(RESNET, head_rates=(6, 12, 18, 24)))) == settings - INDIFFERENT


@pytest.mark.parametrize("base", [VGG, RESNET], ids=["vgg16", "resnet101"])
def test_the_published_recipes_deviate_in_nothing(base):
    assert deviations(create(base)) == () == notes(create(base))
    assert describe(create(base)).endswith("deviations from the published recipe: none")


@pytest.mark.parametrize(
    "base, settings, expected",
    [
        (VGG, dict(base_learning_rate=0.002), "base_learning_rate 0.002 (published: 0.001)"),
        (VGG, dict(power=1.0), "power 1 (published: 0.9)"),
        (VGG, dict(steps=1000), "steps 1000 (published: 20000)"),
        (VGG, dict(batch_size=5), "batch_size 5 (published: 10)"),
        (VGG, dict(momentum=0.95), "momentum 0.95 (published: 0.9)"),
        (VGG, dict(weight_decay=1e-4), "weight_decay 0.0001 (published: 0.0005)"),
        (VGG, dict(head_multiplier=1.0), "head_multiplier 1 (published: 10)"),
        (VGG, dict(class_weights="median_frequency"), "class_weights median_frequency (published: none)"),
        (VGG, dict(ignore_classes=(0, 3)), "ignore_classes 0,3 (published: none)"),
        (VGG, dict(crop_size=257), "crop_size 257 (published: 321)"),
        (VGG, dict(mirror=False), "mirror off (published: on)"),
        (VGG, dict(augment_scales=(0.5, 1.5)), "augment_scales 0.5,1.5 (published: 1)"),
        (VGG, dict(width=0.25), "width 0.25 (published: 1)"),
        (VGG, dict(precision="mixed_bfloat16"), "precision mixed_bfloat16 (published: float32)"),
        (VGG, dict(weights=None), "weights none (published: ImageNet)"),
        (VGG, dict(weights="runs/a/deeplab_resnet101_coco"), "weights MS-COCO (published: ImageNet)"),
        (VGG, dict(train_split="train"), "train_split train (published: train_aug)"),
        (VGG, dict(head_rates=(2, 4, 8, 12)), "head_rates 2,4,8,12 (published: 6,12,18,24)"),
        (RESNET, dict(scales=(1.0,)), "scales 1 (published: 0.5,0.75,1)"),
        (RESNET, dict(iter_size=1), "iter_size 1 (published: 10)"),
        (RESNET, dict(frozen_batch_norm=False), "frozen_batch_norm off (published: on)"),
        (RESNET, dict(weights="resnet101_imagenet"), "weights ImageNet (published: MS-COCO)"),
        (RESNET, dict(weights="a/resnet101_weights_tf_dim_ordering_tf_kernels.h5"), "weights ImageNet (published: MS-COCO)"),
        (RESNET, dict(augment_range=(0.5, 1.5)), "augment_range 0.5,1.5 (published: none)"),
    ],
)
def test_a_changed_setting_is_named_with_both_values(base, settings, expected):
    assert deviations(create(base, **settings)) == (expected,)
    assert f"\n  {expected}" in describe(create(base, **settings))


def test_a_policy_is_judged_by_its_own_settings():
    step = create(VGG, policy="step", power=1.0)
    assert deviations(step) == ("policy step (published: poly)",)
    assert "gamma 0.5 (published: 0.1)" in deviations(step.replace(gamma=0.5))
    assert deviations(create(VGG, gamma=0.5, step_size=7)) == ()


def test_head_rates_are_the_published_ones_at_any_output_stride():
    assert deviations(create(VGG, output_stride=16, head_rates=(3, 6, 9, 12))) == ("output_stride 16 (published: 8)",)


def test_batch_norm_counts_only_where_there_is_some():
    assert deviations(create(VGG, frozen_batch_norm=False)) == ()


def test_other_sets_and_networks_borrow_and_say_so():
    cityscapes = create(RESNET, dataset="cityscapes", train_split="train", scales=(1.0,), weights="resnet101_imagenet")
    assert deviations(cityscapes) == ()
    assert notes(cityscapes) == ("no solver is published for cityscapes: VOC's is taken",)
    assert "resnet50: resnet101's" in describe(create(RESNET, model="resnet50_aspp"))
    assert deviations(create(RESNET, model="resnet50_aspp")) == ()


def test_no_tensorflow_is_loaded():
    code = "import sys, deeplab_tf.experiment.recipes; assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
