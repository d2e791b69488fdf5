"""Whether two atoms of each pair of elements repel each other at short range, whatever the fit did elsewhere."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import torch

from keel.atoms.elements import COVALENT_RADII, pair_name
from keel.potentials.base import Potential
from keel.potentials.dimer import dimer

SHORTEST = 0.1
"""Walls are checked from here, in angstrom."""


def wall_positions(potential: Potential, step: float = 0.02) -> dict[str, float]:
    """Return the distance up to which the total dimer energy falls, from 0.1 angstrom, for each pair of elements.

    In angstrom: the position of the first minimum, or 0 for a pair that attracts at 0.1 angstrom already.
    """
    grid = torch.arange(SHORTEST, potential.cutoff, step, dtype=torch.float64)
    positions = {}
    for a, b in combinations_with_replacement(potential.elements or (), 2):
        rises = np.flatnonzero(np.diff(dimer(potential, a, b, grid).total.numpy()) > 0)
        first = int(rises[0]) if len(rises) else len(grid) - 1
        positions[pair_name(a, b)] = float(grid[first]) if first else 0.0
    return positions


def weak_walls(potential: Potential, fraction: float) -> list[str]:
    """Return the pairs whose wall ends before ``fraction`` of the sum of the covalent radii; sound ones have none."""
    pairs = combinations_with_replacement(potential.elements or (), 2)
    needed = {pair_name(a, b): fraction * float(COVALENT_RADII[a] + COVALENT_RADII[b]) for a, b in pairs}
    return [name for name, position in wall_positions(potential).items() if position < needed[name] - 0.03]
