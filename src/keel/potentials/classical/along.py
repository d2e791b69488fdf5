"""Closed forms along a Verlet list: from positions to forces without a graph, on CPU.

A potential that can do this has :meth:`AlongLists.along_lists`; a sum of such potentials can too. Each part of the
atoms is the work of one thread, with sums of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.kernels import kernels_run
from keel.parallel import in_threads
from keel.potentials.base import Potential

METHODS = {"forward", "derivatives", "energies_and_gradient", "atomic_energies", "pair_energy", "prepare", "terms"}
"""Classes that a kernel replaces."""
VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
"""Indices of xx yy zz yz xz xy in a matrix."""


@dataclass
class Found:
    """Predictions of a potential for N atoms in B structures, float64, without offsets.

    Parameters
    ----------
    energies, forces
        Of each atom: in eV (N,) and in eV/angstrom (N, 3).
    virial
        Sum over the pairs of each structure of r (x) g in eV (B, 6), in Voigt's order.
    nearest
        Smallest squared distance in angstrom^2 of the pairs within the cutoff.
    met
        Atoms that are known to have a neighbour within the cutoff, (N,).
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

    def stress(self, volume: Array) -> Array:
        """Return the stress in eV/angstrom^3 (B, 3, 3), with volumes in angstrom^3 (B,), NaN where there is none."""
        stress: Array = self.virial[:, VOIGT] / volume[:, None, None]
        return stress


Along = Callable[[SkinPairs, Array], Found]
"""From the pairs of a list and positions (N, 3) in angstrom to the results of a potential."""


@runtime_checkable
class AlongLists(Protocol):
    """A potential that needs no graph where there is a Verlet list."""

    def along_lists(self) -> Along:
        """Return a function for energies and forces, with the present parameters of the potential."""


def follows_lists(potential: Potential) -> bool:
    """Whether a potential needs no graph here: it, or each member of a sum, has a kernel, and it is on CPU."""
    parts = [m for m in potential.modules() if isinstance(m, Potential)]
    return kernels_run() and potential.device.type == "cpu" and all(map(_has_kernel, parts))


def _has_kernel(potential: Potential) -> bool:
    """Whether its kernel agrees with its other methods: a derived class may have changed them."""
    for kind in type(potential).__mro__:
        if "along_lists" in vars(kind):
            return True
        if METHODS & vars(kind).keys():
            return False
    return False


def totals(
    pairs: SkinPairs,
    work: Callable[[int, NDArray[np.int64], tuple[Array, ...]], float],
    of_atoms: Sequence[tuple[int, ...]],
    of_structures: Sequence[tuple[int, ...]] = (),
) -> tuple[list[Array], float]:
    """Add up what each part contributes to arrays with a row for each atom, or structure, of these shapes.

    ``work(part, ends, sums)`` adds to ``sums``, whose rows begin with atom ``ends[2]`` and structure ``ends[3]``, what
    atoms ``ends[0]`` to ``ends[1]`` contribute; the least of its results comes last.
    """
    results = [np.zeros((len(pairs.numbers), *shape)) for shape in of_atoms]
    results += [np.zeros((pairs.n_structures, *shape)) for shape in of_structures]
    sums = [p.rows_of(results, len(of_atoms)) for p in pairs.parts]
    least = [np.inf] * len(pairs.parts)

    def do(k: int) -> None:
        p = pairs.parts[k]
        # A structure in several parts is summed up by each on its own; the first has the result itself for that.
        own = sums[k] if p.leads else tuple(np.zeros_like(rows) for rows in sums[k])
        least[k] = work(k, p.ends, own)
        sums[k] = own

    in_threads(do, len(pairs.parts))
    for p, own in zip(pairs.parts, sums, strict=True):
        if not p.leads:
            for rows, part in zip(p.rows_of(results, len(of_atoms)), own, strict=True):
                rows += part
    return results, min(least)
