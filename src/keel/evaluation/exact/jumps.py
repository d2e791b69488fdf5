"""Does a curve jump, or does it only rise steeply?

On an even grid of spacing h the second difference D_h of a smooth curve falls as h^2; that of a jump does not fall at
all. So what is smooth cancels, to O(h^4), in

    (4 D_h - D_2h) / 3

and a jump stays with its full height.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from keel.atoms.frame import Array

SMOOTH = {torch.float32: 1e-3, torch.float64: 1e-4}
"""Largest jump of the force over the RMS force; of the energy over the work of the RMS force along 1 angstrom
(100 spacings of a scan).
Rounding in float32 makes up to 2e-4 of energies that are large beside the forces, float16 some 3e-3."""

ZOOM = 10.0
"""An apparent jump is examined again with a spacing smaller by this factor, ..."""
ZOOMS = 3
"""... this many times: even a wall that rises within 0.005 angstrom is then smooth, and a jump is still there."""


class RoughError(Exception):
    """A curve is so rough that jumps cannot be told from it."""


def largest_jump(
    x: Array, values: Array, along: Callable[[Array], Array], limit: float, places: int | None = None
) -> float:
    """Return the largest jump of a curve; above the limit, what remains of it with smaller spacings.

    Parameters
    ----------
    x, values
        Even grid and the curve on it, shape (K,), at least five points.
    along
        The curve anywhere near the grid, from and to shape (K,).
    limit
        Smaller jumps are not examined again; in the unit of the curve.
    places
        The most places to examine again; None: as many as need it.

    Raises
    ------
    RoughError
        If none of these places jumps, and there are more.
    """
    sizes, spacing = extrapolated_jumps(values), float(x[1] - x[0])
    # The largest may be steep physics and hide a jump elsewhere: what vanishes with a smaller spacing is set aside.
    examined = 0
    while sizes.max() > limit:
        if examined == places:
            raise RoughError
        examined += 1
        worst = int(sizes.argmax())
        left = _zoomed(along, float(x[worst + 2]), spacing, limit)
        if not left <= limit:
            return left
        sizes[max(0, worst - 2) : worst + 3] = left
    return float(sizes.max())


def extrapolated_jumps(values: Array) -> Array:
    """Return |4 D_h - D_2h| / 3 around each inner point of an even grid, shape (K - 4,)."""
    middle = values[2:-2]
    near = values[3:-1] - 2 * middle + values[1:-3]
    far = values[4:] - 2 * middle + values[:-4]
    sizes: Array = np.abs(4 * near - far) / 3
    return sizes


def _zoomed(along: Callable[[Array], Array], middle: float, spacing: float, limit: float) -> float:
    """Return the largest jump around a place that is left after zooming in."""
    for _ in range(ZOOMS):
        path = middle + np.arange(-2 * ZOOM, 2 * ZOOM + 1) * spacing / ZOOM
        sizes = extrapolated_jumps(along(path))
        if sizes.max() <= limit:
            break
        middle, spacing = float(path[2 + int(sizes.argmax())]), spacing / ZOOM
    return float(sizes.max())
