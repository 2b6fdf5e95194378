"""Distance to the nearest marked pixel, in NumPy alone."""

import numpy as np


def chessboard_distance(seeds: np.ndarray) -> np.ndarray:
    """Steps of a chess king to the nearest seed: a square of side 2w+1 round a pixel holds a seed where this is at most w.

    One sweep down and one up; the dependence along a row is a running minimum, so no pixel is visited by itself.

    Args:
      seeds: bool [height, width].

    Returns:
      int32 [height, width], 0 at the seeds; height + width where there are none.
    """
    height, width = seeds.shape
    along = np.arange(width, dtype=np.int32)
    distance = np.where(seeds, np.int32(0), np.int32(height + width))
    for rows in (range(height), range(height - 1, -1, -1)):
        before = None
        for y in rows:
            row = distance[y]
            if before is not None:
                np.minimum(row, before + 1, out=row)
                np.minimum(row[1:], before[:-1] + 1, out=row[1:])
                np.minimum(row[:-1], before[1:] + 1, out=row[:-1])
            row[:] = np.minimum.accumulate(row - along) + along
            backward = row[::-1]
            backward[:] = np.minimum.accumulate(backward - along) + along
            before = row
    return np.minimum(distance, np.int32(height + width))
