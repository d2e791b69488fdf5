"""The short-range wall of each pair of elements: where data end, what is imposed there, and whether it holds.

Distances here are often in bonds: units of the sum of the covalent radii.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import torch
from torch import Tensor

from keel.atoms.elements import atomic_number, pair_name
from keel.atoms.frame import Array
from keel.fitting.data import FitData
from keel.parallel import plain
from keel.potentials.base import Potential
from keel.potentials.classical.dimer import core_energy, dimer, eam_and_cores
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.zbl import ZBL
from keel.potentials.sum import SumPotential

WALL, WALL_WITHOUT_DATA = 0.6, 0.8
"""Walls reach at least to here, in bonds; without data to where the ZBL core ends."""
NEAR, NEAR_BONDS, FEW_PAIRS = 4.0, 1.5, 10
"""A pair of elements has data if it is met 10 times closer than 4 angstrom or 1.5 bonds."""
SOFT = 0.1
"""A wall is soft if at 0.3 angstrom or at 0.4 bonds its energy is below a tenth of the nuclear repulsion."""
SHORTEST = 0.1
"""Walls are checked from here, in angstrom."""


def wall_lengths(model: EAM, without_data: Sequence[str]) -> Tensor:
    """Return how far the wall of each pair must reach, in angstrom."""
    unknown = set(without_data)
    bonds = [WALL_WITHOUT_DATA if name in unknown else WALL for name in model.pair_names]
    return torch.tensor(bonds, dtype=torch.float64) * model.pair_radius


def pairs_without_data(model: EAM, data: FitData) -> list[str]:
    """Return the names of the pairs that are met too seldom at a distance where bonds and walls are."""
    counts = np.zeros(len(model.pair_names), dtype=np.int64)
    near = np.maximum(NEAR_BONDS * plain(model.pair_radius), NEAR)
    for pair, r in _distances(data):
        counts[pair] += np.count_nonzero(r < near[pair])
    return [name for name, count in zip(model.pair_names, counts.tolist(), strict=True) if count < FEW_PAIRS]


def with_core(eam: EAM, data: FitData, covered: Sequence[str]) -> Potential:
    """Return the EAM with a ZBL core under some pairs, each up to where data of that pair begin: the fit stays."""
    if not covered:
        return eam
    ends, bonds = np.full(len(eam.pair_names), WALL_WITHOUT_DATA), plain(eam.pair_radius)
    for pair, r in _distances(data):
        ends[pair] = min(ends[pair], float(r.min()) / bonds[pair])
    known = dict(zip(eam.pair_names, ends.tolist(), strict=True))
    named = [(*_elements(name), known[name]) for name in covered]
    core = ZBL(inner=0.5 * WALL_WITHOUT_DATA, outer=WALL_WITHOUT_DATA, pairs=named, elements=eam.elements)
    return SumPotential([eam, core])


def soft_walls(eam: EAM) -> list[str]:
    """Return the pairs whose wall is far softer than that of nuclei: the data did not reach there."""
    nuclei = ZBL(elements=eam.elements)
    soft = []
    for name, radius in zip(eam.pair_names, eam.pair_radius.tolist(), strict=True):
        r = torch.tensor([0.3, nuclei.inner * radius], dtype=torch.float64)
        ratio = dimer(eam, *_elements(name), r).total / core_energy(nuclei, r, *_elements(name))
        if float(ratio.min()) < SOFT:
            soft.append(name)
    return soft


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


def weak_walls(potential: Potential) -> list[str]:
    """Return the pairs whose wall does not reach to 0.6 bonds; a fit leaves none."""
    eam, _ = eam_and_cores(potential)
    needed = dict(zip(eam.pair_names, (WALL * eam.pair_radius).tolist(), strict=True))
    return [name for name, position in wall_positions(potential).items() if position < needed[name] - 0.03]


def _distances(data: FitData) -> list[tuple[int, Array]]:
    """Places of pairs of elements and their distances, some at a time."""
    return [part for chunk in data.chunks for part in chunk.pairs.by_elements()]


def _elements(name: str) -> tuple[int, int]:
    first, second = name.split("-")
    return atomic_number(first), atomic_number(second)
