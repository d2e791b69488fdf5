"""Closed forms along a Verlet list: from positions to forces without a graph, on CPU.

A potential that can do this has :meth:`AlongLists.along`; a sum of such can too. Each part of the atoms is the work of
one thread, with sums of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Array
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.parallel import in_threads
from keel.potentials.base import Potential, Prediction

METHODS = {"forward", "derivatives", "energies_and_gradient", "atomic_energies", "pair_energy", "prepare", "terms"}
"""Of which a kernel takes the place."""
VOIGT = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]
"""Places of xx yy zz yz xz xy in a matrix."""


@dataclass
class Found:
    """What a potential says of N atoms in B structures, float64, without offsets.

    Parameters
    ----------
    energies, forces, virial
        Of each atom: in eV (N,), in eV/angstrom (N, 3), and its share of sum r (x) g in eV (N, 6), in Voigt's order.
    nearest
        Smallest squared distance in angstrom^2 of the pairs within the cutoff.
    met
        Which atoms have a neighbour within the cutoff, (N,).
    """

    energies: Array
    forces: Array
    virial: Array
    nearest: float
    met: NDArray[np.bool_]

    def plus(self, other: Found) -> Found:
        """Return the sum with another potential's."""
        return Found(
            self.energies + other.energies,
            self.forces + other.forces,
            self.virial + other.virial,
            min(self.nearest, other.nearest),
            self.met | other.met,
        )

    def times(self, weight: float) -> Found:
        """Return it ``weight`` times."""
        return Found(weight * self.energies, weight * self.forces, weight * self.virial, self.nearest, self.met)


@runtime_checkable
class AlongLists(Protocol):
    """A potential that needs no graph where there is a Verlet list."""

    def along(self, pairs: SkinPairs, positions: Array) -> Found:
        """Return what it says of atoms at ``positions`` (N, 3)."""


def follows_lists(potential: Potential) -> bool:
    """Whether a potential needs no graph here: it, or each member of a sum, has a kernel, and it is on CPU."""
    parts = [m for m in potential.modules() if isinstance(m, Potential)]
    return potential.device.type == "cpu" and all(map(_has_kernel, parts))


def _has_kernel(potential: Potential) -> bool:
    """Whether its kernel says what its other methods say: a class derived from it may have changed them."""
    for kind in type(potential).__mro__:
        if "along" in vars(kind):
            return True
        if METHODS & vars(kind).keys():
            return False
    return False


def totals(
    pairs: SkinPairs, work: Callable[[int, Array, list[Array]], float], *columns: tuple[int, ...]
) -> tuple[list[Array], float]:
    """Add up what each part contributes to arrays with a row for each atom, whose rows have these shapes.

    ``work(part, atoms, sums)`` adds to arrays that begin with atom ``atoms[2]``; the least of its results comes last.
    """
    own: list[list[Array]] = [[] for _ in pairs.parts]
    least = np.full(len(pairs.parts), np.inf)

    def do(k: int) -> None:
        p = pairs.parts[k]
        own[k] = [np.zeros((p.high - p.low, *shape)) for shape in columns]
        least[k] = work(k, np.array([p.first, p.last, p.low]), own[k])

    in_threads(do, len(pairs.parts))
    if len(own) == 1:
        return own[0], float(least[0])
    results = [np.zeros((len(pairs.numbers), *shape)) for shape in columns]
    for p, sums in zip(pairs.parts, own, strict=True):
        for result, part in zip(results, sums, strict=True):
            result[p.low : p.high] += part
    return results, float(least.min())


def prediction_of(found: Found, potential: Potential, pairs: SkinPairs, cell: Tensor, periodic: Tensor) -> Prediction:
    """Return what was found as a prediction, offsets included; ``cell`` (B, 3, 3), ``periodic`` (B,)."""
    structure = torch.from_numpy(pairs.structure)
    atomic = torch.from_numpy(found.energies) + potential.offsets().index_select(0, torch.from_numpy(pairs.numbers))
    virial = cell.new_zeros(len(cell), 6).index_add(0, structure, torch.from_numpy(found.virial))
    volume = torch.where(periodic, torch.linalg.det(cell).abs(), 1.0)[:, None, None]
    stress = torch.where(periodic[:, None, None], virial[:, VOIGT] / volume, torch.nan)
    energy = atomic.new_zeros(len(cell)).index_add(0, structure, atomic)
    return Prediction(energy, torch.from_numpy(found.forces), stress, atomic)
