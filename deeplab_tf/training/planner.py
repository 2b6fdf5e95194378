"""What training will take, told before the first step: parameters, multiply-adds, memory and time.

Counted from the network's shapes; nothing runs but a short matrix product for the time. Memory is that of the whole
process on a CPU. It was fitted to measured peaks of real steps; tests/training/test_planner.py has the figures.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import time

import keras
import tensorflow as tf

from deeplab_tf.errors import UserError
from deeplab_tf.layers import winograd
from deeplab_tf.models.multi_scale import MultiScale
from deeplab_tf.models.shapes import layer_shapes
from deeplab_tf.training.recompute import activations, memory_of, segments_of

GIB = 2**30
_PROCESS = 0.65 * GIB  # Python and TensorFlow
_LAYER = 2e6  # bytes of graph and compiled kernels, a convolution
_SLACK = 1.2  # of the allocator over the tensors that are alive
_PASSES = 3  # a step: the forward pass and two gradients of its size
_EFFICIENCY = 0.8  # of the matrix product's rate, a whole step: 0.69 (ResNet-50) to 1.02 (VGG-16 ASPP) measured
_EVALUATION = 2  # multiply-adds of one of Winograd's products, evaluation and interpolation included: 1.5 to 3.1 measured


@dataclasses.dataclass(frozen=True)
class Plan:
    """Estimates for one training run; `seconds` is None where the device's speed is not known.

    Attributes:
      parameters: numbers that are trained.
      multiply_adds: of a forward pass of one picture at all scales.
      step_multiply_adds: of a step, gradients and all micro-batches included.
      memory_bytes: peak resident memory of a process; each of several workers has its share of every micro-batch.
      seconds: of all steps.
    """

    crop_size: int
    batch_size: int
    iter_size: int
    steps: int
    recompute: bool
    workers: int
    replicas: int
    moments: int
    parameters: int
    multiply_adds: int
    step_multiply_adds: int
    memory_bytes: int
    seconds: float | None

    def text(self) -> str:
        """Three lines for the log."""
        return (
            f"plan: {self.parameters:,} parameters, {self.multiply_adds / 1e9:,.4g} G multiply-adds a picture, "
            f"{self.step_multiply_adds / 1e9:,.4g} G a step\n"
            f"plan: about {self.memory_bytes / GIB:.1f} GiB for crops of {self.crop_size} in micro-batches of "
            f"{self.batch_size} x {self.iter_size}{', trunk recomputed' if self.recompute else ''}"
            f"{f', on each of {self.workers} workers' if self.workers > 1 else ''}\n"
            f"plan: about {_duration(self.seconds)} for {self.steps:,} steps"
        )


def plan(
    model: keras.Model,
    *,
    crop_size: int,
    batch_size: int,
    iter_size: int = 1,
    steps: int = 1,
    recompute: bool = False,
    workers: int = 1,
    replicas: int | None = None,
    rate: float | None = None,
    moments: int = 1,
) -> Plan:
    """Estimates what training takes.

    Args:
      model: a network of the zoo or a `MultiScale`.
      crop_size: side of the crops in pixels.
      batch_size: crops a micro-batch.
      iter_size: micro-batches a step.
      steps: steps of the run.
      recompute: whether the trunk is recomputed in the backward pass.
      workers: processes, each on a machine of its own, that share every micro-batch.
      replicas: devices of all workers, each of which has an equal share of every micro-batch; None: one a worker.
      rate: multiply-adds a second of one worker's device, see `measured_rate`; None leaves the time unknown.
      moments: numbers that the optimizer keeps beside each weight.
    """
    network, scales = (model.network, model.scales) if isinstance(model, MultiScale) else (model, (1.0,))
    sizes = [math.floor((crop_size - 1) * scale + 1 + 1e-6) for scale in scales]
    forward = sum(multiply_adds(network, size) for size in sizes)
    passes = (_PASSES + recompute) * batch_size * iter_size
    fewer = [row for size in sizes for row in _by_winograd(network, size)]
    work = passes * (forward - _spared(fewer))
    return Plan(
        crop_size, batch_size, iter_size, steps, recompute, workers, replicas or workers, moments,
        parameters=sum(math.prod(v.shape) for v in model.trainable_variables),
        multiply_adds=forward, step_multiply_adds=passes * forward,
        memory_bytes=_memory(network, sizes, batch_size // workers, iter_size, recompute, fewer, moments),
        seconds=None if rate is None else steps * work / (workers * rate * _EFFICIENCY),
    )  # fmt: skip


def multiply_adds(network: keras.Model, size: int) -> int:
    """Multiply-adds of the convolutions for one picture of `size` x `size`; holes are no taps, padding counts."""
    return sum(
        math.prod(layer.kernel.shape) * output[1] * output[2]
        for layer, _, output in layer_shapes(network, size)
        if hasattr(layer, "kernel")
    )


def _spared(fewer: list[tuple]) -> int:
    """Multiply-adds whose time Winograd's convolution spares, in these rows of `_by_winograd`."""
    return sum(
        math.prod(layer.kernel.shape) * height * width
        - _EVALUATION * math.prod(layer.kernel.shape[-2:]) * winograd.products(height, width, layer.rate)
        for layer, _, (_, height, width, _) in fewer
    )


def _by_winograd(network: keras.Model, size: int) -> list[tuple]:
    """The rows of `layer_shapes` whose layers are convolved so."""
    return [
        (layer, inputs, output)
        for layer, inputs, output in layer_shapes(network, size)
        if hasattr(layer, "method") and layer.method != "native" and getattr(layer, "strides", 1) == 1
        and winograd.applies(layer.kernel.shape, layer.compute_dtype) and winograd.pays(*output[1:3], layer.rate)
    ]  # fmt: skip


def _memory(network, sizes, batch_size, iter_size, recompute, fewer, moments) -> int:
    """Bytes: weights and moments, gradients where they are added up, kernels folded or cast, activations, workspace."""
    trained = 4 * sum(math.prod(v.shape) for v in network.trainable_variables)
    derived = sum(  # kernels folded with batch norm or cast, kept for the gradients
        tf.as_dtype(layer.compute_dtype).size * math.prod(layer.kernel.shape)
        for layer in network.layers
        if hasattr(layer, "statistics") or (hasattr(layer, "kernel") and layer.compute_dtype != "float32")
    )
    kept = workspace = 0.0
    for size in sizes:
        rows = activations(network, size)
        inside = sum(row[1] for row in rows)
        if recompute:
            segments = segments_of(network, size)
            inside += memory_of(segments) - sum(bytes_inside for _, bytes_inside, _ in segments)
        kept += inside
        workspace = max(workspace, 3 * max(row[2] for row in rows))
    tensors = derived * (1 if not recompute else 0.5) + batch_size * (kept + workspace)
    gradients = 2 * trained if iter_size > 1 else 0.3 * trained  # one step's are applied as they come
    layers = _LAYER * sum(hasattr(layer, "kernel") for layer in network.layers)
    # A kernel's gradient at Winograd's points, one product after the other and together.
    kernels = 2 * 4 * winograd.products(1, 1, 1) * max((math.prod(layer.kernel.shape[-2:]) for layer, *_ in fewer), default=0)
    return int(_PROCESS + layers + (1 + moments) * trained + _SLACK * (tensors + gradients) + kernels)


def measured_rate(precision: str = "float32", seconds: float = 0.2) -> float | None:
    """Multiply-adds a second of a matrix product on this CPU; None where steps run on another device.

    Args:
      precision: "float32" or "mixed_bfloat16".
      seconds: how long to measure.
    """
    if tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"):
        return None
    size = 1024
    a = tf.ones([size, size], tf.float32 if precision == "float32" else tf.bfloat16)
    product = tf.function(lambda: tf.matmul(a, a)[0, 0]).get_concrete_function()
    product()
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == math.inf:
        start = time.perf_counter()
        float(product())
        best = min(best, time.perf_counter() - start)
    return size**3 / best


def check_memory(model: keras.Model, wanted: Plan, limit: float, size_multiple: int) -> None:
    """Refuses a run that would not fit.

    Args:
      model: what `wanted` was made for.
      wanted: the run.
      limit: GiB.
      size_multiple: crops are this many pixels times n, plus one (`config.size_multiple`).

    Raises:
      UserError: names the memory needed and proposes what fits.
    """
    if wanted.memory_bytes <= limit * GIB:
        return
    found = proposal(model, wanted, limit, size_multiple)
    advice = "raise the limit or take a smaller network"
    if found:
        advice = f"take --crop_size={found.crop_size} --batch_size={found.batch_size} --iter_size={found.iter_size}"
        advice += " --recompute" if found.recompute else ""
        advice += f" (about {found.memory_bytes / GIB:.1f} GiB, the same {wanted.batch_size * wanted.iter_size} crops a step)"
    raise UserError(
        f"--memory_limit: training needs about {wanted.memory_bytes / GIB:.1f} GiB with crops of {wanted.crop_size} and "
        f"--batch_size={wanted.batch_size}, expected at most {limit:g} GiB; {advice}."
    )


def proposal(model: keras.Model, wanted: Plan, limit: float, size_multiple: int) -> Plan | None:
    """The nearest run within `limit` GiB with as many crops a step: smaller micro-batches first, then recomputing the
    trunk, then smaller crops; None where not even the smallest crop fits."""
    total = wanted.batch_size * wanted.iter_size
    batches = [size for size in range(wanted.batch_size, 0, -1) if total % size == 0 and size % wanted.replicas == 0]

    def attempt(crop, batch=batches[-1], recompute=True):
        found = plan(
            model,
            crop_size=crop,
            batch_size=batch,
            iter_size=total // batch,
            steps=wanted.steps,
            recompute=recompute,
            workers=wanted.workers,
            replicas=wanted.replicas,
            moments=wanted.moments,
        )
        return found if found.memory_bytes <= limit * GIB else None

    crops = range(wanted.crop_size, size_multiple, -size_multiple)
    first = bisect.bisect_left(crops, True, key=lambda crop: attempt(crop) is not None)
    if first == len(crops):
        return None
    found = (attempt(crops[first], batch, again) for again in sorted({wanted.recompute, True}) for batch in batches)
    return next(filter(None, found))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "an unknown time (this device's speed was not measured)"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 1 else "a second"
