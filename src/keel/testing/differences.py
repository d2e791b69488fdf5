"""Central differences of fourth order with respect to positions and strain.

f'(x) = [f(x - 2h) - 8 f(x - h) + 8 f(x + h) - f(x + 2h)] / 12h + O(h^4)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keel.atoms.frame import Array, Frame

STENCIL = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
"""Weights by displacement, both in units of the step."""


def displaced(frame: Frame, components: Iterable[int], step: float) -> list[Frame]:
    """Return the structures that :func:`slopes` needs: four for each coordinate (counted from 0 to 3 N)."""
    moved = []
    for component in components:
        for k in STENCIL:
            positions = frame.positions.copy()
            positions.reshape(-1)[component] += k * step
            moved.append(frame.replace(positions=positions))
    return moved


def strained(frame: Frame, step: float) -> list[Frame]:
    """Return the structures that :func:`slopes` needs: four for each of the nine components of the strain."""
    deformed = []
    for component in range(9):
        for k in STENCIL:
            deformation = np.eye(3)
            deformation.flat[component] += k * step
            deformed.append(frame.replace(positions=frame.positions @ deformation, cell=frame.cell @ deformation))
    return deformed


def slopes(values: Array, step: float) -> Array:
    """Return derivatives (K, ...) from values at the displaced structures (4 K, ...)."""
    weights = np.array(list(STENCIL.values())) / step
    found: Array = np.einsum("s,ks...->k...", weights, values.reshape(-1, len(STENCIL), *values.shape[1:]))
    return found
