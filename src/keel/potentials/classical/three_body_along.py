"""A three-body term along a Verlet list as machine code: moments of the directions to neighbours, then forces."""

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

U = nb.uint64
MOMENTS = 11
"""S_0, S_1 (3), S_2 (xx yy zz yz xz xy) and the sum of g^2."""


@inlined
def switched(r: float, inner: float, outer: float) -> tuple[float, float]:
    """Return the quintic switch and its derivative, for r below ``outer``."""
    if r <= inner:
        return 1.0, 0.0
    t = (r - inner) / (outer - inner)
    return 1.0 + t * t * t * (-10.0 + t * (15.0 - 6.0 * t)), -30.0 * (t * (1.0 - t)) ** 2 / (outer - inner)


@kernel
def moments(atoms: Any, positions: Any, lists: Any, species: Any, reach: Any, work: Any, sums: Any) -> float:
    """Add to the moments of atoms ``atoms[0]`` to ``atoms[1]`` and their neighbours; keep the pairs within reach.

    ``reach`` are where g becomes constant (elements, elements) and where it ends (elements, elements, n); ``work`` has
    the other end, the unit vector and the distance of each pair, and the last pair of each atom.
    """
    first_of, j_of, offset_of, offsets = lists
    inner, outer = reach
    other, unit, r_of, end_of = work
    (moment,) = sums
    low, n, nearest = atoms[2], 0, np.inf
    for i in range(atoms[0], atoms[1]):
        for k in range(first_of[i], first_of[i + 1]):
            q = U(k)
            j, s = U(j_of[q]), U(offset_of[q])
            x = positions[j, U(0)] - positions[i, 0] + offsets[s, U(0)]
            y = positions[j, U(1)] - positions[i, 1] + offsets[s, U(1)]
            z = positions[j, U(2)] - positions[i, 2] + offsets[s, U(2)]
            r2 = x * x + y * y + z * z
            ends = outer[species[i], species[j]]
            if not r2 < ends[len(ends) - 1] ** 2:
                continue
            nearest = min(nearest, r2)
            r = math.sqrt(r2)
            x, y, z = x / r, y / r, z / r
            other[n], r_of[n] = j, r
            unit[n, 0], unit[n, 1], unit[n, 2] = x, y, z
            n += 1
            for m in range(len(ends)):
                if r < ends[m]:
                    g = switched(r, inner[species[i], species[j]], ends[m])[0]
                    for own, sign in ((moment[i - low, m], 1.0), (moment[j - U(low), m], -1.0)):
                        own[0] += g
                        own[1] += sign * g * x
                        own[2] += sign * g * y
                        own[3] += sign * g * z
                        own[4] += g * x * x
                        own[5] += g * y * y
                        own[6] += g * z * z
                        own[7] += g * y * z
                        own[8] += g * x * z
                        own[9] += g * x * y
                        own[10] += g * g
        end_of[i - atoms[0]] = n
    return nearest


@kernel
def pulls(species: Any, coefficients: Any, moment: Any, energies: Any) -> None:
    """Set the energies of atoms, and turn their moments into derivatives with respect to each neighbour's share.

    That is a multiple of S_2, S_1, S_0, and of g itself in place of the sum of g^2.
    """
    for i in range(len(species)):
        energies[i] = 0.0
        for m in range(moment.shape[1]):
            s, (a, b, c) = moment[i, m], coefficients[species[i], m]
            second = s[4] ** 2 + s[5] ** 2 + s[6] ** 2 + 2.0 * (s[7] ** 2 + s[8] ** 2 + s[9] ** 2)
            first = s[1] ** 2 + s[2] ** 2 + s[3] ** 2
            energies[i] += 0.5 * (a * second + b * first + c * s[0] ** 2 - (a + b + c) * s[10])
            s[0] *= c
            s[10] = a + b + c
            for k in range(1, 4):
                s[k] *= b
            for k in range(4, 10):
                s[k] *= a


@kernel
def forces(atoms: Any, species: Any, structure: Any, reach: Any, pull: Any, work: Any, sums: Any) -> None:
    """Add forces and virials of the pairs that :func:`moments` has kept."""
    inner, outer = reach
    other, unit, r_of, end_of = work
    force, virial = sums
    low, start = atoms[2], 0
    for i in range(atoms[0], atoms[1]):
        v = virial[structure[i] - atoms[3]]
        for n in range(start, end_of[i - atoms[0]]):
            j, r = U(other[n]), r_of[n]
            x, y, z = unit[n, 0], unit[n, 1], unit[n, 2]
            ends = outer[species[i], U(species[j])]
            fx = fy = fz = 0.0
            for m in range(len(ends)):
                if not r < ends[m]:
                    continue
                g, dg = switched(r, inner[species[i], U(species[j])], ends[m])
                for s, sign in ((pull[i, m], 1.0), (pull[j, m], -1.0)):
                    px, py, pz = sign * s[1], sign * s[2], sign * s[3]
                    qx = s[4] * x + s[9] * y + s[8] * z
                    qy = s[9] * x + s[5] * y + s[7] * z
                    qz = s[8] * x + s[7] * y + s[6] * z
                    one, two = px * x + py * y + pz * z, qx * x + qy * y + qz * z
                    radial = dg * (two + one + s[0] - s[10] * g) - g / r * (2.0 * two + one)
                    fx += radial * x + g / r * (2.0 * qx + px)
                    fy += radial * y + g / r * (2.0 * qy + py)
                    fz += radial * z + g / r * (2.0 * qz + pz)
            force[i - low, 0] += fx
            force[i - low, 1] += fy
            force[i - low, 2] += fz
            force[j - U(low), 0] -= fx
            force[j - U(low), 1] -= fy
            force[j - U(low), 2] -= fz
            v[0] += r * x * fx
            v[1] += r * y * fy
            v[2] += r * z * fz
            v[3] += r * y * fz
            v[4] += r * x * fz
            v[5] += r * x * fy
        start = end_of[i - atoms[0]]


class ThreeBodyAlong:
    """A three-body term along Verlet lists.

    Parameters
    ----------
    species_index
        The place of each atomic number in the tables.
    inner, outer, coefficients
        As of :class:`keel.potentials.classical.three_body.ThreeBody`: (elements, elements), (elements, elements, n) and
        (elements, n, 3).
    """

    def __init__(self, species_index: NDArray[np.int64], inner: Array, outer: Array, coefficients: Array) -> None:
        self.species_index, self.coefficients = species_index, coefficients
        order = np.argsort(outer.max(axis=(0, 1)))
        self.reach, self.coefficients = (inner, np.ascontiguousarray(outer[:, :, order])), coefficients[:, order]

    def __call__(self, lists: SkinPairs, positions: Array) -> Found:
        """Return energies, forces and virials."""
        ends = lists.first_of, lists.j_of, lists.offset_of, lists.offsets
        species = self.species_index[lists.numbers]
        room = [_room(p.last - p.first, int(lists.first_of[p.last] - lists.first_of[p.first])) for p in lists.parts]

        def first(k: int, atoms: NDArray[np.int64], sums: tuple[Array, ...]) -> float:
            return moments(atoms, positions, ends, species, self.reach, room[k], sums)

        (moment,), nearest = totals(lists, first, [(self.coefficients.shape[1], MOMENTS)])
        energies, met = np.empty(len(species)), moment[:, -1, 0] > 0.0
        pulls(species, self.coefficients, moment, energies)

        def second(k: int, atoms: NDArray[np.int64], sums: tuple[Array, ...]) -> float:
            forces(atoms, species, lists.structure, self.reach, moment, room[k], sums)
            return 0.0

        (force, virial), _ = totals(lists, second, [(3,)], [(6,)])
        return Found(energies, force, virial, nearest, met)


def _room(atoms: int, pairs: int) -> tuple[NDArray[Any], ...]:
    """Return arrays for the other end, unit vector and distance of each pair, and the last pair of each atom."""
    return np.empty(pairs, np.int32), np.empty((pairs, 3)), np.empty(pairs), np.empty(atoms, np.int64)
