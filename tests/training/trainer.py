"""The trainer as a user starts it: a process of its own."""

import os
import subprocess
import sys


def start(workdir, data_dir, flags, environment=None, **options):
    """A process whose output is kept; `environment` is put on top of this one's."""
    command = [sys.executable, "-m", "deeplab_tf.train", *flags, f"--data_dir={data_dir}", f"--workdir={workdir}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | (environment or {}), **options)  # fmt: skip


def finish(process, code=0):
    """What it wrote to standard output and to standard error, once it ended with this exit code."""
    out, err = process.communicate(timeout=400)
    assert process.returncode == code, err[-3000:]
    return out, err
