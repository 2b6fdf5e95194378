"""What every weights reader returns: tensors under the canonical names, whatever the file called them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SourceWeights:
    """The content of one weights file in this package's terms.

    Attributes:
        tensors: canonical name (`conv1_1/kernel`, `bn2a_branch1/gamma`, ...) to array. Kernels are
            [height, width, in, out]; batch norm statistics are those of a convolution without bias and
            epsilon 1e-5.
        skipped: the file's own names for what was left out on purpose (repeated scales, optimizer slots).
        notes: one sentence each on what the reader decided.
    """

    tensors: Mapping[str, np.ndarray]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
