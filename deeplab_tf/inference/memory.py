"""How much memory a picture takes on its way through a network, and which tiles keep it below a limit.

The choice depends on the network, the picture's size and the limit alone, never on what happens to be free, so that one
machine gives the same labels every time.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import os
import pathlib

import keras

from deeplab_tf.errors import UserError
from deeplab_tf.inference.tiles import Tiles
from deeplab_tf.models.shapes import inputs_of, layer_shapes

GIB = 2**30
_PROCESS = 0.85 * GIB  # TensorFlow and what it keeps from one tile to the next, measured
_SHARE = 0.5  # of the machine's memory that is taken where no limit is stated
_WIDEST = 8192  # pixels of a tile
_SIDE = 257  # pixels, at which layers are measured: 2^8 + 1
_log = logging.getLogger(__name__)


def machine_limit() -> float:
    """GiB that may be taken where nobody states a limit: half of the machine's or the container's memory."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 4.0
    try:
        memory = min(memory, int(pathlib.Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        pass
    return _SHARE * memory / GIB


@dataclasses.dataclass(frozen=True)
class Footprint:
    """What a network needs of memory and of the picture round a pixel.

    Attributes:
      classes: K.
      weights: bytes of them.
      pixel: bytes in hand at most, for every pixel of the picture.
      field_of_view: pixels of the picture, along a side, that one score depends on.
    """

    classes: int
    weights: int
    pixel: float
    field_of_view: int

    @classmethod
    def of(cls, network: keras.Model, scales: tuple[float, ...] = (1.0,)) -> Footprint:
        """Read off the layers of a network of the zoo that is run at these picture scales."""
        classes = int(network.output_shape[-1])
        # Behind the network: up-sampled logits, their copy cut back to the picture, the probabilities, those handed on.
        # The scales may run at the same time.
        pixel = max(sum(scale**2 for scale in scales) * _largest_layer(network), 4 * 4 * classes)
        field = math.ceil(_field_of_view(network) / min(scales))
        return cls(classes, 4 * network.count_params(), pixel + 4 * classes, field)

    def whole(self, size: tuple[int, int]) -> float:
        """Bytes that a whole picture of (height, width) pixels takes, with the process and the weights."""
        height, width = size
        return self.fixed(size) + self.pixel * height * width

    def fixed(self, size: tuple[int, int]) -> float:
        """Bytes of the process, the weights as they are kept and in the convolutions' order, the picture, twice while it is
        decoded, and its labels."""
        return _PROCESS + 2 * self.weights + (2 * 3 + 1) * size[0] * size[1]

    def needs_tiles(self, size: tuple[int, int], limit: float | None) -> bool:
        """Whether the whole picture exceeds a limit in GiB; None for `machine_limit()`."""
        return self.whole(size) > (machine_limit() if limit is None else limit) * GIB


def choose_tiles(
    footprint: Footprint,
    size: tuple[int, int],
    *,
    multiple: int,
    limit: float | None = None,
    labels_only: bool = False,
) -> Tiles | None:
    """The largest square tiles that keep a picture below a limit; None where the whole picture stays below it.

    They overlap by the network's field of view, at most by half of a tile.

    Args:
      footprint: of the network.
      size: (height, width) of the picture in pixels.
      multiple: tiles have this many pixels times n, plus one.
      limit: GiB that the process may take; None for `machine_limit()`.
      labels_only: probabilities are kept for one row of tiles at a time only.

    Raises:
      UserError: names need and limit where no tile is small enough.
    """
    limit = machine_limit() if limit is None else limit
    height, width = size
    if not footprint.needs_tiles(size, limit):
        return None
    fixed, whole = footprint.fixed(size), footprint.whole(size)
    for side in range(min(max(size), _WIDEST) // multiple * multiple + 1, 4 * multiple, -multiple):
        rows = min(height, 2 * side) if labels_only else height
        need = fixed + 4 * (footprint.classes + 1) * width * rows + footprint.pixel * side * side
        if need <= limit * GIB:
            tiles = Tiles.of(side, min(footprint.field_of_view, side // 2))
            _tell(size, whole / GIB, limit, tiles)
            return tiles
    raise UserError(
        f"memory limit: a picture of {width}x{height} pixels with {footprint.classes} classes needs at least "
        f"{need / GIB:.1f} GiB even in tiles, and the limit is {limit:.1f} GiB (--memory_limit; half of the machine's memory "
        "where it is not given); raise the limit or make the picture smaller."
    )


@functools.lru_cache(maxsize=64)  # once for a size, not for every picture of it
def _tell(size: tuple[int, int], need: float, limit: float, tiles: Tiles) -> None:
    _log.info(
        "a picture of %dx%d pixels would take %.1f GiB whole and the limit is %.1f GiB (--memory_limit): cut into tiles "
        "of %d pixels that overlap by %d",
        size[1],
        size[0],
        need,
        limit,
        tiles.size[0],
        tiles.overlap[0],
    )


def _largest_layer(network: keras.Model) -> float:
    """Bytes for a pixel of the picture that a layer's inputs and output take, at most; with holes, the input twice, as it is
    deinterleaved as well."""

    def bytes_of(layer, inputs, output):
        item = 2 if layer.compute_dtype in ("bfloat16", "float16") else 4
        copies = 2 if max(_geometry(layer)[1:]) > 1 else 1
        return item * (copies * sum(map(math.prod, inputs)) + math.prod(output))

    return max(bytes_of(*row) for row in layer_shapes(network, _SIDE)) / _SIDE**2


def _field_of_view(network: keras.Model) -> int:
    seen = {id(network.input): (1, 1)}  # tensor -> (field of view, pixels between neighbours)
    for layer in network.layers[1:]:
        kernel, stride, rate = _geometry(layer)
        fields, steps = zip(*(seen[id(x)] for x in inputs_of(layer)), strict=True)
        seen[id(layer.output)] = (max(fields) + (kernel - 1) * rate * max(steps), max(steps) * stride)
    return seen[id(network.output)][0]


def _geometry(layer) -> tuple[int, int, int]:
    """(side of the kernel, stride, rate); (1, 1, 1) for what works pixel by pixel."""
    pools = "pool" in type(layer).__name__.lower()
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or (3 if pools else 1)
    rate = getattr(layer, "rate", None) if "Dropout" not in type(layer).__name__ else 1
    return (_side(kernel), _side(getattr(layer, "strides", 1)), _side(rate or getattr(layer, "dilation_rate", 1)))


def _side(value) -> int:
    return int(max(value)) if isinstance(value, tuple | list) else int(value)
