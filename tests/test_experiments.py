"""Every .flags file parses, and says in its header what it claims and with which command."""

import pathlib

import pytest
from absl import flags as absl_flags

from deeplab_tf.flags import config_from_flags, define_config

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / "experiments").rglob("*.flags"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parses_and_claims(path):
    flags = absl_flags.FlagValues()
    define_config(flags)
    flags(["train", f"--flagfile={path}"])
    config_from_flags(flags)
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert f"--flagfile=experiments/{path.relative_to(ROOT / 'experiments')}" in text
    assert "Measured:" in text and "mIoU" in text and "eviations from the published" in text


def test_there_are_experiments():
    assert {"miniature", "camvid_vgg16_largefov"} <= {path.stem for path in FILES}
