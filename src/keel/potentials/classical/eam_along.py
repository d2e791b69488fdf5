"""The embedded-atom method along a Verlet list as machine code: from positions to forces in two passes over pairs.

    pass 1    r of the pairs within the cutoff; rho_i += f_j(r), rho_j += f_i(r)
    pass 2    F(rho), F'(rho) of the atoms
    pass 3    dE/dr = phi' + F'_i f_j' + F'_j f_i'; energies, forces, virials

The results of pass 1 for a pair (ends, vector, place in the tables) are kept for pass 3, atom after atom. A part of the
atoms is the work of one thread.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.jit import kernel
from keel.potentials.classical.along import Found, totals
from keel.potentials.classical.eam_kernel import columns, density, embeddings, felt, pair, switch
from keel.potentials.classical.eam_tables import EAMTables

U = nb.uint64
"""Unsigned indices need no check for negative values."""


@kernel
def densities(
    atoms: Any,
    positions: Any,
    lists: Any,
    species: Any,
    functions: Any,
    closest: Any,
    step: Any,
    work: Any,
    sums: Any,
) -> float:
    """Pass 1 for atoms ``atoms[0]`` to ``atoms[1]``, sums from ``atoms[2]`` on; returns the least squared distance."""
    of_pairs, of_elements, contact, cutoff = closest
    squared_cutoff = cutoff * cutoff
    first_of, j_of, offset_of, offsets = lists
    other, place, x_of, y_of, z_of, r_of, rest, end_of = work
    (rho,) = sums
    inverse, intervals = step[0], int(step[1])
    table = functions.reshape(-1)
    nearest = np.inf
    low = atoms[2]
    n = 0
    for i in range(atoms[0], atoms[1]):
        x0, y0, z0 = positions[i, 0], positions[i, 1], positions[i, 2]
        start = n
        for k in range(first_of[i], first_of[i + 1]):
            q, p = U(k), U(n)
            j, s = U(j_of[q]), U(offset_of[q])
            x = positions[j, U(0)] - x0 + offsets[s, U(0)]
            y = positions[j, U(1)] - y0 + offsets[s, U(1)]
            z = positions[j, U(2)] - z0 + offsets[s, U(2)]
            r2 = x * x + y * y + z * z
            # Written in any case, and overwritten by the next if too far: a branch would be mispredicted too often.
            other[p] = j
            x_of[p] = x
            y_of[p] = y
            z_of[p] = z
            r_of[p] = r2
            n += r2 < squared_cutoff
        end_of[i - atoms[0]] = n
        for k in range(start, n):
            p = U(k)
            nearest = min(nearest, r_of[p])
            r = math.sqrt(r_of[p])
            u = r * inverse
            whole = min(int(u), intervals - 1)
            r_of[p] = r
            rest[p] = u - whole
            place[p] = whole * 8
        own = U(species[i] * intervals * 8)
        total = 0.0
        for k in range(start, n):
            p, t = U(k), rest[U(k)]
            j = U(other[p])
            if r_of[p] < contact and r_of[p] < of_pairs[species[i], U(species[j]), 4]:
                d, dr = felt(r_of[p], of_pairs[species[i], U(species[j]), 4])
                on, off = switch(d, cutoff)
                total += density(d, dr, on, off, of_elements[U(species[j])])[0]
                rho[j - U(low)] += density(d, dr, on, off, of_elements[species[i]])[0]
                continue
            a = own + U(place[p])
            b = U(species[j] * intervals * 8) + U(place[p])
            total += table[b] + t * (table[b + U(1)] + t * (table[b + U(2)] + t * table[b + U(3)]))
            rho[j - U(low)] += table[a] + t * (table[a + U(1)] + t * (table[a + U(2)] + t * table[a + U(3)]))
        rho[i - low] += total
    return nearest


@kernel
def forces(
    atoms: Any,
    species: Any,
    structure: Any,
    functions: Any,
    closest: Any,
    step: Any,
    slopes: Any,
    work: Any,
    sums: Any,
) -> None:
    """Pass 3 for the same atoms: half of each pair's energy to each atom, forces, virials from ``atoms[3]`` on."""
    other, place, x_of, y_of, z_of, r_of, rest, end_of = work
    energies, force, virial = sums
    of_atoms, pairs, pair_of = functions
    of_pairs, of_elements, contact, cutoff = closest
    intervals = int(step[1])
    table, phi = of_atoms.reshape(-1), pairs.reshape(-1)
    low = atoms[2]
    start = 0
    for i in range(atoms[0], atoms[1]):
        own, own_slope = U(species[i] * intervals * 8), slopes[i]
        fx = fy = fz = e = 0.0
        xx = yy = zz = yz = xz = xy = 0.0
        for k in range(start, end_of[i - atoms[0]]):
            q, t = U(k), rest[U(k)]
            j, at = U(other[q]), U(place[q])
            if r_of[q] < contact and r_of[q] < of_pairs[species[i], U(species[j]), 4]:
                elements = of_pairs[species[i], U(species[j])]
                d, dr = felt(r_of[q], elements[4])
                on, off = switch(d, cutoff)
                half, slope = pair(d, dr, on, off, elements)
                half *= 0.5
                to_i = density(d, dr, on, off, of_elements[U(species[j])])[1]
                to_j = density(d, dr, on, off, of_elements[species[i]])[1]
            else:
                a = own + at
                b = U(species[j] * intervals * 8) + at
                p = U(pair_of[species[i], U(species[j])] * intervals * 8) + at
                half = 0.5 * (phi[p] + t * (phi[p + U(1)] + t * (phi[p + U(2)] + t * phi[p + U(3)])))
                to_i = table[b + U(4)] + t * (table[b + U(5)] + t * (table[b + U(6)] + t * table[b + U(7)]))
                to_j = table[a + U(4)] + t * (table[a + U(5)] + t * (table[a + U(6)] + t * table[a + U(7)]))
                slope = phi[p + U(4)] + t * (phi[p + U(5)] + t * (phi[p + U(6)] + t * phi[p + U(7)]))
            e += half
            energies[j - U(low)] += half
            slope = (slope + own_slope * to_i + slopes[j] * to_j) / r_of[q]
            x, y, z = x_of[q], y_of[q], z_of[q]
            gx, gy, gz = slope * x, slope * y, slope * z
            fx += gx
            fy += gy
            fz += gz
            force[j - U(low), U(0)] -= gx
            force[j - U(low), U(1)] -= gy
            force[j - U(low), U(2)] -= gz
            xx += x * gx
            yy += y * gy
            zz += z * gz
            yz += y * gz
            xz += x * gz
            xy += x * gy
        start = end_of[i - atoms[0]]
        energies[i - low] += e
        force[i - low, 0] += fx
        force[i - low, 1] += fy
        force[i - low, 2] += fz
        b = U(structure[i] - atoms[3])
        virial[b, U(0)] += xx
        virial[b, U(1)] += yy
        virial[b, U(2)] += zz
        virial[b, U(3)] += yz
        virial[b, U(4)] += xz
        virial[b, U(5)] += xy


class EAMAlong:
    """An EAM along Verlet lists.

    Parameters
    ----------
    tables
        Its functions.
    species_index
        The place of each atomic number among its elements.
    """

    def __init__(self, tables: EAMTables, species_index: NDArray[np.int64]) -> None:
        self.tables, self.species_index = tables, species_index
        # Closed forms below contacts, which few pairs reach; no table would resolve the bend there.
        of_pairs, of_elements = columns(tables.terms)
        self._closest = of_pairs, of_elements, float(of_pairs[:, :, 4].max()), tables.terms.cutoff
        self._pairs: SkinPairs | None = None
        self._resets = 0

    def __call__(self, pairs: SkinPairs, positions: Array) -> Found:
        """Return energies, forces and virials."""
        # Others that share the tables may have thrown away those that this list needs.
        if pairs is not self._pairs or self.tables.resets != self._resets:
            self._lay_out(pairs)
        tables, species, room = self.tables, self._species, self._room
        lists = pairs.first_of, pairs.j_of, pairs.offset_of, pairs.offsets

        def first(k: int, atoms: NDArray[np.int64], sums: tuple[Array, ...]) -> float:
            functions = tables.densities, self._closest, tables.step
            return densities(atoms, positions, lists, species, *functions, room[k], sums)

        (rho,), nearest = totals(pairs, first, [()])
        atomic, slopes = np.empty(len(rho)), np.empty(len(rho))
        embeddings(rho, species, tables.embedding, tables.terms.delta, atomic, slopes)
        functions = (tables.densities, tables.pairs, tables.pair_of), self._closest, tables.step

        def second(k: int, atoms: NDArray[np.int64], sums: tuple[Array, ...]) -> float:
            forces(atoms, species, pairs.structure, *functions, slopes, room[k], sums)
            return 0.0

        (energies, force, virial), _ = totals(pairs, second, [(), (3,)], [(6,)])
        # Every neighbour gives some density.
        return Found(atomic + energies, force, virial, nearest, rho > 0.0)

    def _lay_out(self, pairs: SkinPairs) -> None:
        """Keep what is valid as long as the list: species, and room for the results of pass 1 in each part."""
        self._pairs, self._species = pairs, self.species_index[pairs.numbers]
        self.tables.cover(self._species, pairs.structure)
        self._resets = self.tables.resets
        self._room = [
            _room(p.last - p.first, int(pairs.first_of[p.last] - pairs.first_of[p.first])) for p in pairs.parts
        ]


def _room(atoms: int, pairs: int) -> tuple[NDArray[Any], ...]:
    """Return arrays for end, place, vector, distance and rest of each pair, and for the last pair of each atom."""
    kinds = [np.int32] * 2 + [np.float64] * 5
    return *(np.empty(pairs + 1, kind) for kind in kinds), np.empty(atoms, np.int64)
