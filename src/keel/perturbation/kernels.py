"""The loops of the perturbation as machine code; imported where they are first used."""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from keel.jit import exact_kernel

U = nb.uint64
MARGIN = 1e-4
"""Tolerance for rounding in angstrom."""


@exact_kernel
def deform(normals: Any, principal: Any, periodic: Any, deformation: Any, smallest: Any) -> None:
    """Write I + e of each structure (B, 3, 3), and its smallest eigenvalue (B,).

    The axes of e are the columns of ``normals`` (B, 3, 3) made orthonormal, its eigenvalues ``principal`` (B, 3).
    """
    axes = np.empty((3, 3))
    for b in range(len(normals)):
        deformation[b] = np.eye(3)
        smallest[b] = 1.0
        if not periodic[b]:
            continue
        for k in range(3):
            axes[k] = normals[b, :, k]
            # Twice, which makes them orthogonal to rounding.
            for _ in range(2):
                for other in range(k):
                    axes[k] -= np.sum(axes[other] * axes[k]) * axes[other]
            axes[k] /= math.sqrt(np.sum(axes[k] * axes[k]))
        for k in range(3):
            smallest[b] = min(smallest[b], 1.0 + principal[b, k])
            for i in range(3):
                for j in range(3):
                    deformation[b, i, j] += principal[b, k] * axes[k, i] * axes[k, j]


@exact_kernel
def displace(normals: Any, lengths: Any, offsets: Any, displacement: Any) -> None:
    """Write steps of given lengths (B,) in the directions of normal vectors (N, 3)."""
    for b in range(len(lengths)):
        for i in range(offsets[b], offsets[b + 1]):
            x, y, z = float(normals[i, 0]), float(normals[i, 1]), float(normals[i, 2])
            # Exactly zero only with a probability of about 1e-130, in single precision about 1e-20.
            scale = lengths[b] / math.sqrt(x * x + y * y + z * z)
            displacement[i, 0] = scale * x
            displacement[i, 1] = scale * y
            displacement[i, 2] = scale * z


@exact_kernel
def choose(draws: Any, fraction: float, partners: Any, structure: Any, chosen: Any, n: int) -> int:
    """Let each atom, with probability ``fraction``, choose a partner, so that no atom is in two pairs.

    The smallest of ``draws[0]`` come first, so that no atom is favoured by its place in the file; ``draws[1]``
    choose among its ``partners``. ``structure``: its number, first and last atom. ``chosen``, from place ``n`` on:
    both atoms (2, N), structure (N,), vector (N, 3) and bond length (N,); returns where the next structure begins.
    """
    number, start, end = structure
    atoms, member, vectors, bonds = chosen
    waiting = np.empty(end - start, np.int64)
    used = np.zeros(end - start, np.bool_)
    size = 0
    for i in range(end - start):
        if draws[0, start + i] < fraction:
            place = size
            while place > 0 and draws[0, start + waiting[place - 1]] > draws[0, start + i]:
                waiting[place] = waiting[place - 1]
                place -= 1
            waiting[place] = i
            size += 1
    for k in range(size):
        i = waiting[k]
        place = np.searchsorted(partners.cumulative, i + draws[1, start + i], side="right")
        # Atoms without a possible partner are left alone.
        if place == len(partners) or partners[place].first != i:
            continue
        partner = partners[place]
        j = partner.second
        if used[i] or used[j]:
            continue
        used[i] = used[j] = True
        atoms[0, n], atoms[1, n], member[n] = start + i, start + j, number
        for c in range(3):
            vectors[n, c] = partner.vector[c]
        bonds[n] = partner.bond
        n += 1
    return n


@exact_kernel
def set_distances(chosen: Any, order: Any, factors: Any, deformation: Any, displacement: Any, lengths: Any) -> None:
    """Bring pairs to ``factors`` of their bond lengths, which are written to ``lengths``: both atoms move alike.

    The k-th factor belongs to pair ``order[k]``.
    """
    atoms, member, vectors, bonds = chosen
    v = np.empty(3)
    for k in range(len(order)):
        p = order[k]
        i, j, d = atoms[0, p], atoms[1, p], deformation[member[p]]
        for c in range(3):
            strained = vectors[p, 0] * d[0, c] + vectors[p, 1] * d[1, c] + vectors[p, 2] * d[2, c]
            v[c] = strained + displacement[j, c] - displacement[i, c]
        distance = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        if not distance > 0.0:
            # Two atoms in one place have no line between them: they part along x.
            v[0], v[1], v[2] = 1.0, 0.0, 0.0
        lengths[p] = factors[k] * bonds[p]
        move = 0.5 * (lengths[p] - distance) / (distance if distance > 0.0 else 1.0)
        for c in range(3):
            displacement[i, c] -= move * v[c]
            displacement[j, c] += move * v[c]


@exact_kernel
def by_length(pairs: Any, step: float, bins: int, found: Any) -> tuple[Any, Any]:
    """Order the pairs of each atom by their lengths, and give each the place of its shift in a table.

    ``pairs``: where the pairs of each atom begin (N + 1,), second atoms, shifts (E, 3), squared lengths (E,).
    ``found``: second atoms, places of shifts and lengths (E,), rounded down to whole numbers of ``step``, of which
    there are fewer than ``bins``. Returns the smallest of the shifts and the numbers of them in the table, both (3,).
    """
    first_of, j_of, shifts, squared = pairs
    new_j, places, lengths = found
    lowest, highest = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for k in range(len(j_of)):
        for c in range(3):
            lowest[c] = min(lowest[c], shifts[k, c])
            highest[c] = max(highest[c], shifts[k, c])
    sizes = highest - lowest + 1
    bin_of = np.empty(len(j_of), np.int64)
    place_of = np.empty(bins + 1, np.int64)
    for i in range(len(first_of) - 1):
        place_of[:] = 0
        for k in range(first_of[i], first_of[i + 1]):
            bin_of[k] = int(math.sqrt(squared[k]) / step)
            place_of[bin_of[k] + 1] += 1
        place_of[0] = first_of[i]
        for b in range(bins):
            place_of[b + 1] += place_of[b]
        for k in range(first_of[i], first_of[i + 1]):
            p = place_of[bin_of[k]]
            place_of[bin_of[k]] += 1
            new_j[p] = j_of[k]
            lengths[p] = bin_of[k] * step
            a, b, c = shifts[k, 0] - lowest[0], shifts[k, 1] - lowest[1], shifts[k, 2] - lowest[2]
            places[p] = (a * sizes[1] + b) * sizes[2] + c
    return lowest, sizes


@exact_kernel
def near(parent: Any, move: Any, limits: Any, starts: Any, structures: Any, found: Any) -> Any:
    """Place a child and write its pairs; return where the next one's begin, -1 if the parent's list is too short.

    In a child the vector of a pair of length r in the parent has at least smallest r - |u_i| - |u_j|, with the
    smallest eigenvalue of I + e: the rest of an atom's pairs, which are sorted by r, can then be skipped.

    ``parent``: numbers, positions, cell, shifts, where the pairs of each atom begin, second atoms, places of shifts,
    lengths. ``move``: I + e, smallest eigenvalue, u. ``limits``: radius, cutoff of the list. ``starts``: its number,
    first atom, first shift and first pair of the child in the arrays to be written: ``structures`` (numbers, structure
    of each atom, positions, cells, shifts, translations) and ``found`` (where the pairs of each atom begin, second
    atoms, places of shifts, squared lengths).
    """
    species, x, cell, own_shifts, own_first, own_j, own_shift_of, lengths = parent
    deformation, smallest, u = move
    radius, list_cutoff = limits
    number, atom, shift, n = starts
    numbers, structure, positions, cells, shifts, translations = structures
    first_of, j_of, shift_of, squared = found
    moved = np.empty(len(x))
    most = 0.0
    for i in range(len(x)):
        numbers[atom + i], structure[atom + i] = species[i], number
        for c in range(3):
            strained = x[i, 0] * deformation[0, c] + x[i, 1] * deformation[1, c] + x[i, 2] * deformation[2, c]
            positions[atom + i, c] = strained + u[i, c]
        moved[i] = math.sqrt(u[i, 0] * u[i, 0] + u[i, 1] * u[i, 1] + u[i, 2] * u[i, 2])
        most = max(most, moved[i])
    if not (radius + MARGIN + 2.0 * most) / smallest <= list_cutoff:
        return -1
    lattice = cells[number]
    for k in range(3):
        for c in range(3):
            lattice[k, c] = (
                cell[k, 0] * deformation[0, c] + cell[k, 1] * deformation[1, c] + cell[k, 2] * deformation[2, c]
            )
    for s in range(len(own_shifts)):
        a, b, c = own_shifts[s, 0], own_shifts[s, 1], own_shifts[s, 2]
        for k in range(3):
            shifts[shift + s, k] = own_shifts[s, k]
            translations[shift + s, k] = a * lattice[0, k] + b * lattice[1, k] + c * lattice[2, k]
    for i in range(len(x)):
        first_of[atom + i] = n
        furthest = (radius + MARGIN + moved[i] + most) / smallest
        x0, y0, z0 = positions[atom + i, 0], positions[atom + i, 1], positions[atom + i, 2]
        for k in range(own_first[i], own_first[i + 1]):
            if lengths[U(k)] > furthest:
                break
            p, j, s = U(n), U(atom + own_j[U(k)]), U(shift + own_shift_of[U(k)])
            dx = positions[j, U(0)] - x0 + translations[s, U(0)]
            dy = positions[j, U(1)] - y0 + translations[s, U(1)]
            dz = positions[j, U(2)] - z0 + translations[s, U(2)]
            r2 = dx * dx + dy * dy + dz * dz
            # Written in any case, and overwritten by the next if too far: a branch would be mispredicted too often.
            j_of[p] = j
            shift_of[p] = s
            squared[p] = r2
            n += r2 < radius * radius
    first_of[atom + len(x)] = n
    return n


@exact_kernel
def count_ends(first_of: Any, j_of: Any, squared: Any, squared_cutoff: float, places: Any) -> Any:
    """Write where the edges of each atom begin in a full list (N + 1,), and return how many there are."""
    for i in range(len(first_of) - 1):
        own = 0
        for k in range(first_of[i], first_of[i + 1]):
            if squared[U(k)] < squared_cutoff:
                own += 1
                places[U(j_of[U(k)] + 1)] += 1
        places[i + 1] += own
    for i in range(1, len(places)):
        places[i] += places[i - 1]
    return places[-1]


@exact_kernel
def both_ways(pairs: Any, shifts: Any, squared_cutoff: float, places: Any, edges: Any, edge_shift: Any) -> None:
    """Write each pair within a cutoff twice, (i, j, S) and (j, i, -S), from the place of its first atom on (N,)."""
    first_of, j_of, shift_of, squared = pairs
    for i in range(len(first_of) - 1):
        for k in range(first_of[i], first_of[i + 1]):
            if squared[U(k)] < squared_cutoff:
                j, s = U(j_of[U(k)]), U(shift_of[U(k)])
                p, q = U(places[i]), U(places[j])
                # For an atom and its own image both ends belong to the same atom.
                q += U(i) == j
                places[i] += 1
                places[j] += 1
                edges[U(0), p] = edges[U(1), q] = i
                edges[U(1), p] = edges[U(0), q] = j
                for c in range(3):
                    edge_shift[p, U(c)] = shifts[s, U(c)]
                    edge_shift[q, U(c)] = -shifts[s, U(c)]


@exact_kernel
def total(found: Any, at_rest: Any, offsets: Any, cells: Any, periodic: Any, totals: Any) -> None:
    """Write energies (B,), forces (N, 3), stresses (B, 3, 3) and the largest squared forces (B,) of structures.

    ``found``: energies and forces of atoms, virials of structures; ``at_rest`` (N,) is added to energies of atoms. A
    stress is zero where a structure is not ``periodic`` (B,).
    """
    energies, forces, virial = found
    energy, force, stress, strongest = totals
    for b in range(len(cells)):
        whole = largest = 0.0
        for i in range(offsets[b], offsets[b + 1]):
            whole += energies[i] + at_rest[i]
            squared = 0.0
            for c in range(3):
                force[i, c] = forces[i, c]
                squared += forces[i, c] * forces[i, c]
            # NaN remains.
            if not (squared <= largest or math.isnan(largest)):
                largest = squared
        energy[b], strongest[b] = whole, largest
        m, own = cells[b], virial[b]
        volume = m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        volume += m[0, 1] * (m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2])
        volume += m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
        inverse = 1.0 / abs(volume) if periodic[b] else 0.0
        stress[b, 0, 0], stress[b, 1, 1], stress[b, 2, 2] = own[0] * inverse, own[1] * inverse, own[2] * inverse
        stress[b, 1, 2] = stress[b, 2, 1] = own[3] * inverse
        stress[b, 0, 2] = stress[b, 2, 0] = own[4] * inverse
        stress[b, 0, 1] = stress[b, 1, 0] = own[5] * inverse
