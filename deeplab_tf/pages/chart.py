"""The report's curve of mean IoU over the width of the band round boundaries, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deeplab_tf.metrics.trimap import TrimapCurve


def boundary_section(before: TrimapCurve | None, after: TrimapCurve | None) -> str:
    """HTML of the curves without and with the CRF; nothing where there is none."""
    if before is None:
        return ""
    curves = {"before": before, "after": after}
    values = {name: curve.mean_iou() for name, curve in curves.items() if curve is not None}
    how = {
        "void": "void pixels dilated, less the void itself",
        "label_change": "pixels within that distance of a change of label, void left out",
    }[before.definition]
    return (
        f'<h2>Round the boundaries</h2><p class="soft">Mean IoU in a band round the boundaries of objects, by its width in '
        f'pixels ({how}).</p><div class="card">{_chart(values, before.max_width)}</div>'
    )


def _chart(curves: Mapping[str, Sequence[float]], max_width: int) -> str:
    """Lines over the widths 0..max_width; SVG of 720 x 260."""
    known = [value for values in curves.values() for value in values if not math.isnan(value)]
    if not known:
        return '<p class="soft">No boundary in this set.</p>'
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if s == 0.2 or max(known) - min(known) <= 5 * s)
    low = step * math.floor(min(known) / step)
    high = max(step * math.ceil(max(known) / step), low + step)

    def x(width):
        return 48 + 590 * width / max_width

    def y(value):
        return 226 - 210 * (value - low) / (high - low)

    parts = []
    for value in np.arange(low, high + step / 2, step):
        parts.append(f'<line class="grid" x1="48" x2="638" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="40" y="{y(value) + 4:.1f}" text-anchor="end">{100 * value:.0f}</text>')
    for width in range(0, max_width + 1, max(1, max_width // 8)):
        parts.append(f'<text x="{x(width):.1f}" y="246" text-anchor="middle">{width}</text>')
    single = len(curves) == 1
    for name, values in curves.items():
        points = [f"{x(w):.1f} {y(value):.1f}" for w, value in enumerate(values) if not math.isnan(value)]
        parts.append(f'<path class="{"after" if single else name}" d="M{" L".join(points)}"/>')
    ends = {
        name: y(next(v for v in reversed(values) if not math.isnan(v))) for name, values in curves.items()
    }
    if len(ends) == 2 and abs(ends["before"] - ends["after"]) < 14:  # labels must not lie on each other
        middle, sign = sum(ends.values()) / 2, 1 if ends["before"] >= ends["after"] else -1
        ends = {"before": middle + 7 * sign, "after": middle - 7 * sign}
    label = {"before": "" if single else "before CRF", "after": "after CRF"}
    parts += [
        f'<text class="{name}" x="646" y="{end + 4:.1f}">{label[name]}</text>' for name, end in ends.items()
    ]
    return f'<svg class="chart" viewBox="0 0 720 256" role="img">{"".join(parts)}</svg>'
