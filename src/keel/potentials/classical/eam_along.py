"""The embedded-atom method along a Verlet list as machine code: from positions to forces in two passes over pairs.

    pass 1    r of the pairs within the cutoff; rho_i += f_j(r), rho_j += f_i(r)
    pass 2    F(rho), F'(rho) of the atoms
    pass 3    dE/dr = phi' + F'_i f_j' + F'_j f_i'; energies, forces, virials

What pass 1 finds of a pair (ends, vector, place in the tables) waits for pass 3 in ``Work``, atom after atom. A part of
the atoms is the work of one thread, which adds to sums of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from keel.jit import kernel
from keel.potentials.classical.along import Found, totals
from keel.potentials.classical.eam_kernel import embeddings

U = nb.uint64
"""Indices without a sign need no test for being negative."""


@kernel
def densities(
    atoms: Any,
    positions: Any,
    lists: Any,
    species: Any,
    functions: Any,
    step: Any,
    squared_cutoff: float,
    work: Any,
    sums: Any,
) -> float:
    """Pass 1 for atoms ``atoms[0]`` to ``atoms[1]``, sums from ``atoms[2]`` on; returns the least squared distance."""
    first_of, j_of, offset_of, offsets = lists
    other, place, x_of, y_of, z_of, r_of, rest, end_of = work
    rho, met = sums
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
            a = own + U(place[p])
            b = U(species[j] * intervals * 8) + U(place[p])
            total += table[b] + t * (table[b + U(1)] + t * (table[b + U(2)] + t * table[b + U(3)]))
            rho[j - U(low)] += table[a] + t * (table[a + U(1)] + t * (table[a + U(2)] + t * table[a + U(3)]))
            met[j - U(low)] = 1.0
        rho[i - low] += total
        if n > start:
            met[i - low] = 1.0
    return nearest


@kernel
def forces(atoms: Any, species: Any, functions: Any, step: Any, slopes: Any, work: Any, sums: Any) -> None:
    """Pass 3 for the same atoms: half of each pair's energy to each atom, forces and virials."""
    other, place, x_of, y_of, z_of, r_of, rest, end_of = work
    energies, force, virial = sums
    of_atoms, pairs, pair_of = functions
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
            a = own + at
            b = U(species[j] * intervals * 8) + at
            p = U(pair_of[species[i], U(species[j])] * intervals * 8) + at
            half = 0.5 * (phi[p] + t * (phi[p + U(1)] + t * (phi[p + U(2)] + t * phi[p + U(3)])))
            e += half
            energies[j - U(low)] += half
            to_i = table[b + U(4)] + t * (table[b + U(5)] + t * (table[b + U(6)] + t * table[b + U(7)]))
            to_j = table[a + U(4)] + t * (table[a + U(5)] + t * (table[a + U(6)] + t * table[a + U(7)]))
            slope = phi[p + U(4)] + t * (phi[p + U(5)] + t * (phi[p + U(6)] + t * phi[p + U(7)]))
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
        virial[i - low, 0] = xx
        virial[i - low, 1] = yy
        virial[i - low, 2] = zz
        virial[i - low, 3] = yz
        virial[i - low, 4] = xz
        virial[i - low, 5] = xy


def along(tables: Any, cutoff: float, pairs: Any, positions: Any, species: Any) -> Found:
    """Return energies, forces and virials of an EAM with these tables."""
    tables.cover(species)
    work = _room(pairs)
    lists = pairs.first_of, pairs.j_of, pairs.offset_of, pairs.offsets
    functions, step = tables.densities, tables.step

    def first(k: int, atoms: Any, sums: Any) -> float:
        return float(densities(atoms, positions, lists, species, functions, step, cutoff**2, work[k], tuple(sums)))

    (rho, met), nearest = totals(pairs, first, (), ())
    atomic, slopes = np.empty(len(rho)), np.empty(len(rho))
    embeddings(rho, species, tables.embedding, tables.terms.delta, atomic, slopes)

    def second(k: int, atoms: Any, sums: Any) -> float:
        both = functions, tables.pairs, tables.pair_of
        forces(atoms, species, both, step, slopes, work[k], tuple(sums))
        return 0.0

    (energies, force, virial), _ = totals(pairs, second, (), (3,), (6,))
    return Found(atomic + energies, force, virial, nearest, met > 0.0)


def _room(pairs: Any) -> list[tuple[Any, ...]]:
    """Return arrays for what pass 1 finds, for each part, which last as long as the list."""
    if "eam" not in pairs.scratch:
        pairs.scratch["eam"] = [
            (
                *(np.empty(size, np.int32) for _ in range(2)),
                *(np.empty(size) for _ in range(5)),
                np.empty(p.last - p.first, np.int64),
            )
            for p in pairs.parts
            for size in [int(pairs.first_of[p.last] - pairs.first_of[p.first]) + 1]
        ]
    room: list[tuple[Any, ...]] = pairs.scratch["eam"]
    return room
