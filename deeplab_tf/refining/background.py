"""The background of activation maps, which know the objects only: how sure must an object be to be one?"""

import dataclasses

import numpy as np

from deeplab_tf.errors import UserError

_ADVICE = "expected a number in 0..1 (0.30), power:ALPHA for (1 - highest map)^ALPHA, or two of a kind, the higher first"


@dataclasses.dataclass(frozen=True)
class Background:
    """The background's map: `value` everywhere, or (1 - the highest map) to the power of it.

    IRN takes a constant (jiwoon-ahn/irn, step/cam_to_ir_label.py), AffinityNet the power (jiwoon-ahn/psa, infer_cls.py).
    """

    value: float
    is_power: bool

    def in_front_of(self, maps: np.ndarray) -> np.ndarray:
        """float32 [height, width, maps] -> [height, width, 1 + maps]."""
        if self.is_power:
            highest = maps.max(axis=-1, keepdims=True, initial=0)
            first = (1 - highest) ** np.float32(self.value)
        else:
            first = np.full((*maps.shape[:2], 1), self.value, np.float32)
        return np.concatenate([first, maps], axis=-1)


def parse_backgrounds(text: str | None) -> tuple[Background, ...]:
    """Of the flag's text: none, one, or two between which pixels stay void.

    Raises:
        UserError: another text, a number out of range, or two that cannot enclose anything.
    """
    if not text:
        return ()
    found = tuple(_parsed(part.strip(), text) for part in text.split(","))
    kinds, values = {one.is_power for one in found}, [one.value for one in found]
    falling = sorted(values, reverse=not found[0].is_power)  # a higher power is a lower background
    if len(found) > 2 or len(kinds) > 1 or len(set(values)) < len(values) or values != falling:
        raise UserError(f"--background: got {text!r}, {_ADVICE}.")
    return found


def _parsed(part: str, text: str) -> Background:
    is_power = part.startswith("power:")
    try:
        value = float(part.removeprefix("power:"))
    except ValueError:
        value = -1.0
    if not (0 < value < float("inf") if is_power else 0 <= value <= 1):
        raise UserError(f"--background: got {text!r}, {_ADVICE}.")
    return Background(value, is_power)
