"""Pair potentials along a Verlet list as machine code."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.jit import inlined, kernel
from keel.potentials.classical.along import Found, totals
from keel.potentials.classical.eam_kernel import felt

U = nb.uint64
LENNARD_JONES, NUCLEI, CONTACT = range(3)
"""Kinds of functions."""


@inlined
def lennard_jones(r: float, values: Any) -> tuple[float, float]:
    """Return 4 epsilon [(sigma/r)^12 - (sigma/r)^6] and its derivative; ``values`` are epsilon and sigma."""
    x6 = (values[1] / r) ** 6
    return 4.0 * values[0] * (x6 * x6 - x6), -24.0 * values[0] * (2.0 * x6 * x6 - x6) / r


@inlined
def nuclei(r: float, values: Any) -> tuple[float, float]:
    """Return ZBL's repulsion and its derivative; ``values`` are Z_i Z_j e^2/(4 pi eps0) and 1/a."""
    screening = slope = 0.0
    for c, d in ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162)):
        term = c * math.exp(-d * values[1] * r)
        screening += term
        slope -= d * values[1] * term
    return values[0] / r * screening, values[0] / r * (slope - screening / r)


@inlined
def contact(r: float, values: Any) -> tuple[float, float]:
    """Return the energy of a constant force below a contact, and its derivative; ``values`` are both."""
    q, dq = felt(r, values[1])
    return values[0] * (q - r), values[0] * (dq - 1.0)


@kernel
def pairs(
    atoms: Any, positions: Any, lists: Any, species: Any, structure: Any, function: Any, reach: Any, sums: Any
) -> float:
    """Add what pairs of atoms ``atoms[0]`` to ``atoms[1]`` contribute; returns the smallest squared distance.

    ``function``: its kind, and its values (elements, elements, 2); ``reach`` (elements, elements, 2) is
    where its quintic switch begins and ends. ``sums``: energies, forces, which atoms have met another, and virials.
    """
    first_of, j_of, offset_of, offsets = lists
    energies, force, met, virial = sums
    kind, values = function
    low = atoms[2]
    nearest = np.inf
    for i in range(atoms[0], atoms[1]):
        b = U(structure[i] - atoms[3])
        for k in range(first_of[i], first_of[i + 1]):
            q = U(k)
            j, s = U(j_of[q]), U(offset_of[q])
            x = positions[j, U(0)] - positions[i, 0] + offsets[s, U(0)]
            y = positions[j, U(1)] - positions[i, 1] + offsets[s, U(1)]
            z = positions[j, U(2)] - positions[i, 2] + offsets[s, U(2)]
            r2 = x * x + y * y + z * z
            # Of all pairs: criteria also judge those that this function does not act on.
            nearest = min(nearest, r2)
            inner, outer = reach[species[i], species[j], 0], reach[species[i], species[j], 1]
            if not r2 < outer * outer:
                continue
            met[i - low] = met[j - U(low)] = 1.0
            r = math.sqrt(r2)
            own = values[species[i], species[j]]
            if kind == NUCLEI:
                phi, slope = nuclei(r, own)
            elif kind == CONTACT:
                phi, slope = contact(r, own)
            else:
                phi, slope = lennard_jones(r, own)
            if r > inner:
                t = (r - inner) / (outer - inner)
                switch = 1.0 + t * t * t * (-10.0 + t * (15.0 - 6.0 * t))
                slope = slope * switch - phi * 30.0 * (t * (1.0 - t)) ** 2 / (outer - inner)
                phi *= switch
            slope /= r
            energies[i - low] += 0.5 * phi
            energies[j - U(low)] += 0.5 * phi
            gx, gy, gz = slope * x, slope * y, slope * z
            force[i - low, 0] += gx
            force[i - low, 1] += gy
            force[i - low, 2] += gz
            force[j - U(low), 0] -= gx
            force[j - U(low), 1] -= gy
            force[j - U(low), 2] -= gz
            virial[b, U(0)] += x * gx
            virial[b, U(1)] += y * gy
            virial[b, U(2)] += z * gz
            virial[b, U(3)] += y * gz
            virial[b, U(4)] += x * gz
            virial[b, U(5)] += x * gy
    return nearest


class PairAlong:
    """A pair potential along Verlet lists.

    Parameters
    ----------
    species_index
        The place of each atomic number in ``values`` and ``reach``, which :func:`pairs` explains.
    kind
        Of the function: LENNARD_JONES, NUCLEI or CONTACT.
    """

    def __init__(self, species_index: NDArray[np.int64], values: Array, reach: Array, kind: int) -> None:
        self.species_index, self.function, self.reach = species_index, (kind, values), reach

    def __call__(self, lists: SkinPairs, positions: Array) -> Found:
        """Return energies, forces and virials."""
        ends = lists.first_of, lists.j_of, lists.offset_of, lists.offsets
        species = self.species_index[lists.numbers]

        def work(_: int, atoms: NDArray[np.int64], sums: tuple[Array, ...]) -> float:
            return pairs(atoms, positions, ends, species, lists.structure, self.function, self.reach, sums)

        (energies, force, met, virial), nearest = totals(lists, work, [(), (3,), ()], [(6,)])
        return Found(energies, force, virial, nearest, met > 0.0)
