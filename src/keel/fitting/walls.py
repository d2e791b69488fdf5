"""The short-range wall of each pair of elements: the constraint of a fit, and its check.

Distances here are often in bonds: units of the sum of the covalent radii.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from keel.atoms.batching import batch
from keel.atoms.elements import pair_numbers
from keel.atoms.frame import Frame
from keel.fitting.contacts import CORE_END
from keel.parallel import plain
from keel.potentials.base import Potential, lengths
from keel.potentials.batches import predictions
from keel.potentials.classical.dimer import eam_and_cores
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.pair import PairPotential
from keel.potentials.classical.three_body import three_body_term
from keel.potentials.classical.zbl import ZBL

WALL = 0.6
"""Walls reach at least this far, in sums of the covalent radii; without data, to the end of the nuclear repulsion."""
SOFT = 0.1
"""A wall is soft if at 0.3 angstrom or at 0.4 bonds its energy is below a tenth of the nuclear repulsion."""
SHORTEST = 0.1
"""Walls are checked from this distance, in angstrom."""
BONDED = 1.3
"""An atom is bonded to neighbours up to this times the distance of its nearest."""
DEEPEST, LEAST_COHESION = 6.0, 0.5
"""Largest binding of two atoms in units of the cohesion per bond (at least half an eV): two copper atoms have 4."""


def wall_lengths(model: EAM, without_data: Sequence[str]) -> Tensor:
    """Return how far the wall of each pair must reach, in angstrom."""
    unknown = set(without_data)
    bonds = [CORE_END if name in unknown else WALL for name in model.pair_names]
    return torch.tensor(bonds, dtype=torch.float64) * model.pair_radius


def soft_walls(eam: EAM) -> list[str]:
    """Return the pairs whose wall is far softer than that of nuclei: the data did not reach there."""
    nuclei = ZBL(elements=eam.elements)
    near = torch.stack([torch.full_like(eam.pair_radius, 0.3), nuclei.inner * eam.pair_radius], dim=1)
    ratio = _dimers(eam, near) / _cores([nuclei], _numbers(eam), near)
    return [name for name, soft in zip(eam.pair_names, (ratio.amin(dim=1) < SOFT).tolist(), strict=True) if soft]


def wall_positions(potential: Potential, step: float = 0.02) -> dict[str, float]:
    """Return the distance up to which the total dimer energy falls, from 0.1 angstrom, for each pair of elements.

    In angstrom: the position of the first minimum, or 0 for a pair that attracts at 0.1 angstrom already.
    """
    eam, _ = eam_and_cores(potential)
    grid = torch.arange(SHORTEST, potential.cutoff, step, dtype=torch.float64)
    rises = np.diff(plain(_dimers(potential, grid.expand(len(eam.pair_names), -1))), axis=1) > 0
    first = np.where(rises.any(axis=1), rises.argmax(axis=1), len(grid) - 1)
    ends = np.where(first > 0, plain(grid)[first], 0.0)
    return dict(zip(eam.pair_names, ends.tolist(), strict=True))


def weak_walls(potential: Potential) -> list[str]:
    """Return the pairs whose wall does not reach to 0.6 bonds; a fit leaves none."""
    eam, _ = eam_and_cores(potential)
    needed = dict(zip(eam.pair_names, (WALL * eam.pair_radius).tolist(), strict=True))
    return [name for name, position in wall_positions(potential).items() if position < needed[name] - 0.03]


def cohesion_per_bond(potential: Potential, frames: Sequence[Frame]) -> float:
    """Return the energy by which a potential binds the atoms of frames, in eV per bond; NaN if none has a neighbour."""
    eam, _ = eam_and_cores(potential)
    energy, bonds = 0.0, 0.0
    for graph, prediction in predictions(frames, potential):
        energy += float((prediction.atomic_energies - potential.offsets()[graph.numbers]).sum())
    for frame in frames:
        graph = batch([frame], eam.cutoff, dtype=torch.float64)
        r, centre = plain(lengths(graph.edge_vectors())), plain(graph.edge_index[0])
        nearest = np.full(len(frame), np.inf)
        np.minimum.at(nearest, centre, r)
        bonds += 0.5 * np.count_nonzero(r < BONDED * nearest[centre])
    return -energy / float(bonds) if bonds else float("nan")


def counted_cohesion(cohesion: float) -> float:
    """Return the cohesion per bond (eV) by which wells are judged: at least half an eV, also where none is known."""
    return float(np.fmax(cohesion, LEAST_COHESION))


def deep_wells(potential: Potential, cohesion: float) -> dict[str, tuple[float, float]]:
    """Return depth (eV) and position (angstrom) of wells of two atoms deeper than six times ``cohesion`` (eV).

    No small cluster binds more strongly for each of its bonds than its dimers do: embedding energies are concave in the
    density and vanish with it, so that neighbours together gain less than each by itself. The most that a three-body
    term may gain for each neighbour counts as part of the well.
    """
    eam, _ = eam_and_cores(potential)
    grid = torch.arange(SHORTEST, potential.cutoff, 0.02, dtype=torch.float64)
    energy, term = _dimers(potential, grid.expand(len(eam.pair_names), -1)), three_body_term(potential)
    if term is not None:
        energy = energy - torch.stack([term.most_gain(*pair_numbers(name), grid) for name in eam.pair_names])
    lowest, place = energy.min(dim=1)
    found = zip(eam.pair_names, (-lowest).tolist(), grid[place].tolist(), strict=True)
    return {name: (depth, r) for name, depth, r in found if depth > DEEPEST * counted_cohesion(cohesion)}


def _dimers(potential: Potential, r: Tensor) -> Tensor:
    """Return the energy of two atoms of each pair of elements in eV at distances r, both (pairs, distances)."""
    eam, cores = eam_and_cores(potential)
    r, numbers = r.to(eam.dtype), _numbers(eam)
    i, j = (eam.species_index[z].repeat_interleave(r.shape[1]) for z in numbers)
    with torch.no_grad():
        terms, pair = eam.terms(eam.values()), i * len(eam.symbols) + j
        at = terms.felt(r.reshape(-1), pair)
        total = terms.pair(at, pair)[0]
        for here, there in ((i, j), (j, i)):
            total = total + terms.embed(terms.density(at, there)[0], here)[0]
    return total.view(r.shape) + _cores(cores, numbers, r)


def _cores(cores: Sequence[PairPotential], numbers: Tensor, r: Tensor) -> Tensor:
    """Return the energies of pair potentials, shape of ``r``, zero beyond their cutoff."""
    total, (first, second) = torch.zeros_like(r), (z.repeat_interleave(r.shape[1]) for z in numbers)
    for core in cores:
        with torch.no_grad():
            energy = core.pair_energy(r.reshape(-1), first, second)[0].view(r.shape)
        total = total + torch.where(r < core.cutoff, energy, 0.0)
    return total


def _numbers(eam: EAM) -> Tensor:
    """Return the atomic numbers of all pairs of elements, (2, pairs)."""
    return torch.tensor([pair_numbers(name) for name in eam.pair_names]).T
