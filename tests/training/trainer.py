"""The trainer as a user starts it: a process of its own."""

from tests.doors_forked import DoorProcess

NARROW = ["--model=vgg16_largefov", "--dataset=folder", "--width=0.05", "--crop_size=65"]  # a small and quick training


def start(workdir, data_dir, flags, environment=None, before=None):
    """A process whose output is kept; `environment` is put on top of this one's, `before` is called in it first."""
    return DoorProcess("train", [*flags, f"--data_dir={data_dir}", f"--workdir={workdir}"], environment, before)


def finish(process, code=0):
    """What it wrote to standard output and to standard error, once it ended with this exit code."""
    out, err = process.communicate(timeout=400)
    assert process.returncode == code, err[-3000:]
    return out, err
