"""How devices share a step: one process or several, behind the names of `--strategy`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Iterator

import tensorflow as tf

from deeplab_tf.errors import UserError

_log = logging.getLogger(__name__)
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError,
         tf.errors.InternalError, tf.errors.FailedPreconditionError, tf.errors.UnknownError)  # fmt: skip
_SECONDS_TO_WAIT = 120  # for the other workers in one step, before they count as lost


@dataclasses.dataclass(frozen=True)
class Devices:
    """The replicas of a run, and this process' place among its workers.

    Attributes:
      strategy: what variables are made under and steps are run by.
      worker, workers: this process, 0 being the chief who writes, and how many there are.
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Over all workers."""
        return self.strategy.num_replicas_in_sync

    def scatter(self, tensor: tf.Tensor, iter_size: int = 1):
        """This worker's [iter_size * n, ...] -> every local replica's share of each of the iter_size micro-batches."""
        local = self.replicas // self.workers
        if local == 1:
            if self.workers == 1:
                return tensor
            return self.strategy.experimental_distribute_values_from_function(lambda context: tensor)
        shares = tf.split(tf.reshape(tensor, [iter_size, -1, *tensor.shape[1:]]), local, axis=1)

        def share(context):
            own = shares[context.replica_id_in_sync_group % local]
            return tf.reshape(own, [-1, *tensor.shape[1:]])

        return self.strategy.experimental_distribute_values_from_function(share)

    def any_worker(self, flag: bool) -> bool:
        """Whether `flag` holds in any worker; all of them must ask."""
        return max(self.of_all_workers(int(flag))) > 0

    def of_all_workers(self, number: int) -> list[int]:
        """The workers' numbers; all of them must ask."""
        if self.workers == 1:
            return [number]
        return _gather(self.strategy, tf.constant([number], tf.int32)).numpy().tolist()

    @contextlib.contextmanager
    def errors(self, workdir: os.PathLike) -> Iterator[None]:
        """What a lost worker makes TensorFlow raise becomes one sentence."""
        try:
            yield
        except _LOST as error:
            if self.workers == 1:
                raise
            raise UserError(
                f"worker {self.worker} of {self.workers}: another worker is lost ({type(error).__name__}), expected all of "
                f"them in every step; start all again with the same commands, {workdir} goes on from its newest checkpoint."
            ) from None


@tf.function
def _gather(strategy: tf.distribute.Strategy, number: tf.Tensor) -> tf.Tensor:
    """int32 [1] of every worker -> [workers]."""

    def replica(number):
        context = tf.distribute.get_replica_context()
        return context.all_gather(tf.identity(number), axis=0)  # identity: the tensor gets this replica's device

    everyones = strategy.experimental_local_results(strategy.run(replica, (number,)))
    return everyones[0][:: len(everyones)]  # a worker's replicas all say the same


def open_devices(name: str = "default", *, cpu_devices: int = 1) -> Devices:
    """The devices of a run. Call it before TensorFlow is used otherwise.

    Args:
      name: "default" (one device), "mirrored" (all of this machine), "multi_worker" (machines that TF_CONFIG names) or
        "tpu".
      cpu_devices: logical devices that the processor is split into, to try "mirrored" without accelerators.

    Raises:
      UserError: the environment lacks what the strategy needs.
    """
    if cpu_devices > 1:
        _split_processor(cpu_devices)
    if name == "default":
        return Devices(tf.distribute.get_strategy())
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return Devices(tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)]))
    if name == "multi_worker":
        return _multi_worker()
    if name == "tpu":
        return _tpu()
    raise ValueError(f"strategy: got {name!r}, expected default, mirrored, multi_worker or tpu.")


def make_deterministic(wanted: bool) -> None:
    """Switches TensorFlow's deterministic operations on for this process, or says where their lack tells.

    A processor's operations are deterministic as this package uses them (the tests kill and resume runs); a GPU's are not, and
    there the deterministic ones are slower.
    """
    if wanted:
        tf.config.experimental.enable_op_determinism()
    elif tf.config.list_physical_devices("GPU"):
        _log.info("deterministic operations are off: a resumed run goes on soundly, but not bit for bit (--deterministic)")


def _split_processor(count: int) -> None:
    processor = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise ValueError("cpu_devices: TensorFlow is in use already, expected the first call in the process.") from error


def _multi_worker() -> Devices:
    try:
        settings = json.loads(os.environ["TF_CONFIG"])
        workers, task = list(settings["cluster"]["worker"]), int(settings["task"]["index"])
        if settings["cluster"].keys() != {"worker"} or not 0 <= task < len(workers):
            raise ValueError(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"--strategy=multi_worker: got TF_CONFIG={os.environ.get('TF_CONFIG')!r}, expected "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}; set it for every worker.'
        ) from error
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_SECONDS_TO_WAIT)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return Devices(strategy, task, len(workers))


def _tpu() -> Devices:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError, OSError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(
            f"--strategy=tpu: no TPU answers ({reason}), expected one of this host or in TPU_NAME; take --strategy=default or "
            "mirrored elsewhere."
        ) from error
    return Devices(tf.distribute.TPUStrategy(resolver))
