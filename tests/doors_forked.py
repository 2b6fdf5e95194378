"""A door in a process of its own, forked from one that holds TensorFlow: loading it takes longer than most doors run.

Arguments, environment, streams, signals and exit code are those of `python -m deeplab_tf.NAME`. What a test has to say about
the loading itself (its time, its messages) wants a fresh interpreter.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile

_PRELOADED = ["tensorflow", "keras", "deeplab_tf.experiment.trainer", "deeplab_tf.experiment.evaluator"]


class DoorProcess:
    """As much of `subprocess.Popen` as the tests use.

    Args:
      name: the door, as in `python -m deeplab_tf.NAME`.
      arguments: its command line.
      environment: put on top of this process's.
      before: called in the new process before the door.
    """

    def __init__(self, name, arguments, environment=None, before=None):
        self._streams = [tempfile.TemporaryFile("w+") for _ in range(2)]
        server = multiprocessing.get_context("forkserver")
        server.set_forkserver_preload(_PRELOADED)
        paths = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in self._streams]
        given = (f"deeplab_tf.{name}", [str(argument) for argument in arguments], os.environ | (environment or {}), os.getcwd())
        self._process = server.Process(target=_run, args=(*given, paths, before))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self._process.exitcode

    def communicate(self, timeout=None):
        """(standard output, standard error) once it has ended."""
        self.wait(timeout)
        for stream in self._streams:
            stream.seek(0)
        return tuple(stream.read() for stream in self._streams)

    def send_signal(self, number):
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self):
        self._process.terminate()


def run_door(name, *arguments, timeout=400):
    """`subprocess.run` of a door with its streams kept."""
    process = DoorProcess(name, arguments)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess([name, *arguments], process.returncode, out, err)


def _run(module, arguments, environment, folder, paths, before):
    for number, path in enumerate(paths, start=1):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False, buffering=1) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if before:
        before()
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
