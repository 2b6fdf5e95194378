"""The config: one place for defaults, checked once, JSON and flags both ways."""

import dataclasses
import subprocess
import sys
import time

import pytest
from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.flags import config_from_flags, config_of_trained, define_config, define_trained, note_given
from deeplab_tf.experiment.settings import all_settings

CHANGED = dict(
    model="resnet101_aspp",
    scales=(0.5, 0.75, 1.0),
    crop_size=353,
    head_rates=(6, 12, 18, 24),
    mirror=False,
    augment_scales=(0.5, 1.5),
    data_dir="a b/c",
    crf_w1=5.0,
    crf_normalization="after",
    seed=7,
    tile=None,
    weights=None,
)


def parse(*arguments):
    flags = absl_flags.FlagValues()
    define_config(flags)
    flags(["door", *arguments])
    return flags


def test_names_are_unique():
    names = [flag for _, _, flag in all_settings()]
    assert len(names) == len(set(names))


def test_json_round_trip():
    config = ExperimentConfig.create(**CHANGED)
    assert ExperimentConfig.from_json(config.to_json()) == config != ExperimentConfig()


@pytest.mark.parametrize("text", ["[1]", '{"foo": 1}', '{"steps": "x"}', "{"])
def test_a_damaged_config_is_named(text):
    with pytest.raises(UserError, match=r"^run/config.json .*restore it"):
        ExperimentConfig.from_json(text, "run/config.json")


def test_flagfile_round_trip(tmp_path):
    config = ExperimentConfig.create(**CHANGED, augment_range=(0.1234567, 0.9))
    path = tmp_path / "x.flags"
    path.write_text("# a comment\n\n" + config.to_flagfile())
    assert config_from_flags(parse(f"--flagfile={path}")) == config


def test_flag_defaults_are_the_configs():
    assert config_from_flags(parse()) == ExperimentConfig()


def test_only_given_flags_change_a_base():
    base = ExperimentConfig.create(**CHANGED)
    changed = config_from_flags(parse("--nocrf", "--seed=8"), base=base)
    assert changed == base.replace(crf=False, seed=8)


def test_every_setting_has_help():
    for section, field, name in all_settings():
        assert section == "crf" or field.metadata["help"], name


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(crop_size=320), "--crop_size: got 320, expected 8n\\+1 .*take 313 or 321"),
        (dict(crop_size=329, scales=(0.5, 0.75, 1.0)), "--crop_size: got 329, expected 32n\\+1"),
        (dict(crop_size=325, output_stride=16), "expected 16n\\+1 .*take 321 or 337"),
        (dict(model="resnet102"), "model: got 'resnet102', expected one of vgg16_fc6_7x7_r4"),
        (dict(dataset="voc"), "--dataset: got 'voc', expected one of voc2012"),
        (dict(policy="cosine"), "--policy: got 'cosine', expected one of poly, step"),
        (dict(output_stride=7), "--output_stride: got 7"),
        (dict(scales=(0.5, 0.75)), "--scales: .*scale 1 among them"),
        (dict(scales=(0.75,)), "--scales: .*where one stands alone"),
        (dict(crop_size=649, scales=(0.5,)), "--crop_size: got 649, expected 16n\\+1 .*take 641 or 657"),
        (dict(head_rates=(6, 12)), "--head_rates: .*expected 1 whole rates"),
        (dict(labels="labels.txt"), "--labels: .*--dataset=folder"),
        (dict(tile=8), "--tile: got 8, expected a side above 8"),
        (dict(max_images=0), "--max_images"),
        (dict(gallery=-1), "--gallery"),
        (dict(trimap="foo"), "--trimap: got 'foo', expected void or label_change"),
        (dict(crf_preset="template", crf_w1=5.0), "--crf_w1: given beside --crf_preset=template"),
        (dict(batch_size=0), "--batch_size: got 0, expected a whole number from 1"),
        (dict(momentum=1.0), "--momentum"),
        (dict(crf_sigma_alpha=0), "sigma_alpha"),
        (dict(no_such=1), "setting 'no_such' is unknown"),
        (dict(precision="float16"), "--precision"),
    ],
)
def test_wrong_settings_name_the_flag_and_the_way_out(settings, message):
    with pytest.raises(UserError, match=message):
        ExperimentConfig.create(**settings)


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExperimentConfig().solver.steps = 3


@pytest.mark.parametrize("text", ["not json", '{"stepps": 3}'])
def test_a_damaged_config_file_is_named(text):
    with pytest.raises(UserError):
        ExperimentConfig.from_json(text, "DIR/config.json")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch_sizee=3"], "Unknown command line flag 'batch_sizee'. Did you mean: batch_size?"),
        (["--batch_size=many"], "--batch_size=many"),
        (["--flagfile=nowhere.flags"], "nowhere.flags"),
        (["--crop_size=320"], "take 313 or 321"),
        (["--augment_scales=1,x"], "--augment_scales: got '1,x', expected numbers separated by commas"),
        ([], "--workdir is not set"),
        (["--dataset=camvid", "--workdir=never_made"], "--data_dir is not set"),
        (["--dataset=camvid", "--data_dir=nowhere", "--workdir=never_made"], "nowhere: no such data folder"),
    ],
)
def test_wrong_flags_answer_in_one_line_without_tensorflow(arguments, message, tmp_path):
    """Exit code 2, one line on stderr, TensorFlow not imported (the import alone takes longer than the two seconds)."""
    code = (
        "import sys, runpy; sys.argv = ['train', *sys.argv[1:]]\n"
        "try:\n    runpy.run_module('deeplab_tf.train', run_name='__main__')\n"
        "finally:\n    assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    start = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert time.monotonic() - start < 60  # no clock in the judgement of speed: this only ends a hang
    assert result.returncode == 2 and result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1 and result.stderr.startswith("error: ") and message in result.stderr
    assert not list(tmp_path.iterdir())


def trained(*arguments, workdir):
    """What a door that takes a trained network makes of its command line."""
    flags = absl_flags.FlagValues()
    define_trained(flags, ("flip", "crf"))
    argv = ["eval", f"--workdir={workdir}", *arguments]
    flags(argv)
    note_given(flags, argv)
    return config_of_trained(flags)


def test_a_flags_file_of_the_whole_experiment_tells_where_the_run_differs(tmp_path, capsys):
    """The run's training settings and weights stay; what the door uses is changed; the rest has a line."""
    run = ExperimentConfig.create(weights="mine.npz", batch_size=5, flip=False)
    (tmp_path / "config.json").write_text(run.to_json())
    (tmp_path / "x.flags").write_text("--weights=published\n--batch_size=10\n--iter_size=1\n--flip\n")
    assert trained(f"--flagfile={tmp_path / 'x.flags'}", workdir=tmp_path) == run.replace(flip=True)
    said = capsys.readouterr().err
    assert "batch_size 5" in said and "iter_size" not in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--batch_size=5", "eval does not use it"),
        ("--nomirror", "--mirror: eval"),
        ("--weights=a.npz", "got both, expected the network of a run or"),
    ],
)
def test_the_command_line_may_not_hold_what_a_door_does_not_use(tmp_path, argument, message):
    (tmp_path / "config.json").write_text(ExperimentConfig().to_json())
    with pytest.raises(UserError, match=message):
        trained(argument, workdir=tmp_path)


def test_the_help_lists_the_flags_of_the_door_alone():
    flags = absl_flags.FlagValues()
    define_trained(flags, ("flip",))
    assert "--[no]flip" in flags.get_help() and "batch_size" not in flags.get_help()
