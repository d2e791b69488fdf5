"""Fewer points of a smooth curve, so that straight lines between them stay close to it.

The point furthest from the line between two ends is kept and divides the curve, and so on until all are close (Douglas
& Peucker, Cartographica 10, 112 (1973), with the distance along the y axis).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array


def simplified(x: Array, columns: Sequence[Array], tolerance: float) -> NDArray[np.int64]:
    """Return the indices of the points to keep, ascending.

    Parameters
    ----------
    x
        Ascending positions, shape (K,).
    columns
        Curves over them, each of shape (K,); points that are not finite are kept, except in curves without any finite
        point.
    tolerance
        Largest distance of a point of any curve from the straight line between the points kept.
    """
    drawn = [column for column in columns if np.isfinite(column).any()] or [np.zeros(len(x))]
    values = np.stack(drawn)
    ends = {0, len(x) - 1} | set(np.flatnonzero(~np.isfinite(values).all(axis=0)).tolist())
    known = np.where(np.isfinite(values), values, 0.0)
    parts, found = [(0, len(x) - 1)], ends
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        shares = (x[first : last + 1] - x[first]) / (x[last] - x[first])
        line = known[:, first, None] + shares * (known[:, last] - known[:, first])[:, None]
        away = np.abs(known[:, first : last + 1] - line).max(axis=0)
        furthest = first + int(away.argmax())
        if away.max() > tolerance:
            found.add(furthest)
            parts += [(first, furthest), (furthest, last)]
    return np.array(sorted(found), dtype=np.int64)
