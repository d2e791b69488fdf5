"""Fewer points of a drawn curve, so that it looks the same.

From every run of consecutive points the first, the last, the lowest and the highest are kept: the picture does not
change as long as a run is narrower than a pixel (M4; Jugel, Jerzak, Hackenbroich & Markl, PVLDB 7, 797, 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array


def kept(columns: Sequence[Array], runs: int) -> NDArray[np.int64]:
    """Return the indices of the points to keep, ascending.

    Parameters
    ----------
    columns
        Values on common points, each of shape (K,); the extremes of each column are kept, and so are its gaps (NaN).
    runs
        Into how many runs the points are divided.
    """
    length = len(columns[0])
    if length <= 4 * runs:
        return np.arange(length)
    found: set[int] = set()
    for run in np.array_split(np.arange(length), runs):
        found |= {int(run[0]), int(run[-1])}
        for column in columns:
            found |= {int(run[k]) for k in _extremes(column[run])}
    return np.array(sorted(found))


def _extremes(values: Array) -> list[int]:
    gaps = ~np.isfinite(values)
    first_gap = [int(gaps.argmax())] if gaps.any() else []
    if gaps.all():
        return first_gap
    low, high = np.where(gaps, np.inf, values), np.where(gaps, -np.inf, values)
    return [int(low.argmin()), int(high.argmax()), *first_gap]
