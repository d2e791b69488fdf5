"""The Jacobian of energies, forces and virials with respect to the parameters of an EAM, as machine code.

Columns are alpha, repulsion and attraction of all pairs of elements, then density, beta and embedding of all elements
(P and K of each). A parameter of the density acts on a pair directly, through f', and on all pairs of an atom through
its dF/d rho; of the latter only the effect on neighbours is summed over pairs, the rest over atoms.
"""

from __future__ import annotations

import math
from typing import Any

from keel.jit import inlined, kernel


@kernel
def density_columns(pairs: Any, of_elements: Any, work: Any, rho: Any) -> None:
    """Add d rho/d density and d rho/d beta to ``rho`` (N, 3 K)."""
    r, s, i_of, j_of = pairs.r, pairs.switch[0], pairs.atoms[0], pairs.atoms[1]
    count = len(of_elements)
    for segment in pairs.segments:
        first, second, start, stop = segment[1], segment[2], segment[4], segment[5]
        density_i, radius_i = of_elements[first, 0], of_elements[first, 3]
        density_j, radius_j = of_elements[second, 0], of_elements[second, 3]
        for q in range(start, stop):
            to_i, to_j = rho[i_of[q]], rho[j_of[q]]
            f_i, f_j = work[1, q] * s[q], work[2, q] * s[q]
            to_i[second] += f_i / density_j
            to_i[count + second] += f_i * (radius_j - r[q])
            to_j[first] += f_j / density_i
            to_j[count + first] += f_j * (radius_i - r[q])


@kernel
def embedding_columns(of_atoms: Any, of_elements: Any, delta: float, columns: Any, energy: Any) -> None:
    """Turn ``columns`` (N, 3 K) from d rho into d(dF/d rho), and add dE to ``energy`` (B, 3 K).

    ``of_atoms`` are species, structure and sqrt(rho + delta), each (N,).
    """
    species, structure, root = of_atoms
    count, at_rest = len(of_elements), math.sqrt(delta)
    for i in range(len(root)):
        a, e, embedding, inverse = species[i], energy[structure[i]], of_elements[species[i], 2], 1.0 / root[i]
        for k in range(2 * count):
            e[k] -= 0.5 * embedding * inverse * columns[i, k]
            columns[i, k] *= 0.25 * embedding * inverse * inverse * inverse
        e[2 * count + a] += at_rest - root[i]
        columns[i, 2 * count + a] = -0.5 * inverse


@inlined
def _add(forces: Any, i: Any, j: Any, virial: Any, column: Any, value: Any, unit: Any, r: Any) -> None:
    """Add a derivative of dE/dr of one pair to its column of forces (3, N, columns) and virial (6, columns)."""
    a, b, c = unit
    x, y, z = value * a, value * b, value * c
    forces[0, i, column] += x
    forces[1, i, column] += y
    forces[2, i, column] += z
    forces[0, j, column] -= x
    forces[1, j, column] -= y
    forces[2, j, column] -= z
    virial[0, column] += r * a * x
    virial[1, column] += r * b * y
    virial[2, column] += r * c * z
    virial[3, column] += r * b * z
    virial[4, column] += r * a * z
    virial[5, column] += r * a * y


@kernel
def pair_columns(pairs: Any, parameters: Any, work: Any, slopes: Any, energy: Any, forces: Any, virial: Any) -> None:
    """Add what parameters do to a pair directly: ``energy`` (B, C), ``forces`` (3, N, C), ``virial`` (B, 6, C)."""
    of_pairs, of_elements = parameters
    r, s, ds, unit, i_of, j_of = pairs.r, pairs.switch[0], pairs.switch[1], pairs.unit, pairs.atoms[0], pairs.atoms[1]
    count, kinds = len(of_pairs), len(of_elements)
    for segment in pairs.segments:
        structure, first, second, pair, start, stop = segment
        alpha, repulsion, attraction, radius = of_pairs[pair]
        density_i, beta_i, _, radius_i = of_elements[first]
        density_j, beta_j, _, radius_j = of_elements[second]
        e, v = energy[structure], virial[structure]
        for q in range(start, stop):
            i, j, u, one, two = i_of[q], j_of[q], (unit[0, q], unit[1, q], unit[2, q]), work[0, q], work[0, q] ** 2
            to_one, to_two, d = one * (ds[q] - alpha * s[q]), two * (ds[q] - 2.0 * alpha * s[q]), radius - r[q]
            of_alpha = repulsion * (d * to_two - two * s[q]) * 2.0 - attraction * (d * to_one - one * s[q])
            _add(forces, i, j, v, pair, of_alpha, u, r[q])
            _add(forces, i, j, v, count + pair, to_two, u, r[q])
            _add(forces, i, j, v, 2 * count + pair, -to_one, u, r[q])
            e[pair] += d * (2.0 * repulsion * two - attraction * one) * s[q]
            e[count + pair] += two * s[q]
            e[2 * count + pair] -= one * s[q]
            f_i, f_j = slopes[i] * work[1, q], slopes[j] * work[2, q]
            g_i, g_j = f_i * (ds[q] - beta_j * s[q]), f_j * (ds[q] - beta_i * s[q])
            _add(forces, i, j, v, 3 * count + second, g_i / density_j, u, r[q])
            _add(forces, i, j, v, 3 * count + first, g_j / density_i, u, r[q])
            _add(forces, i, j, v, 3 * count + kinds + second, (radius_j - r[q]) * g_i - f_i * s[q], u, r[q])
            _add(forces, i, j, v, 3 * count + kinds + first, (radius_i - r[q]) * g_j - f_j * s[q], u, r[q])


@kernel
def neighbour_columns(pairs: Any, of_elements: Any, work: Any, columns: Any, forces: Any, own: Any) -> None:
    """Add to ``forces`` (3, N, 3 K) what a change of dF/d rho, ``columns`` (N, 3 K), does to neighbours.

    ``own`` (N, 9) becomes the sums over pairs by which it acts on the atom's own force and on the virial.
    """
    r, s, ds, unit, i_of, j_of = pairs.r, pairs.switch[0], pairs.switch[1], pairs.unit, pairs.atoms[0], pairs.atoms[1]
    for segment in pairs.segments:
        beta_i, beta_j = of_elements[segment[1], 1], of_elements[segment[2], 1]
        for q in range(segment[4], segment[5]):
            i, j, a, b, c = i_of[q], j_of[q], unit[0, q], unit[1, q], unit[2, q]
            g_i, g_j = work[1, q] * (ds[q] - beta_j * s[q]), work[2, q] * (ds[q] - beta_i * s[q])
            for k in range(columns.shape[1]):
                from_j, from_i = g_j * columns[j, k], g_i * columns[i, k]
                forces[0, i, k] += a * from_j
                forces[1, i, k] += b * from_j
                forces[2, i, k] += c * from_j
                forces[0, j, k] -= a * from_i
                forces[1, j, k] -= b * from_i
                forces[2, j, k] -= c * from_i
            for end, g, sign in ((i, g_i, 1.0), (j, g_j, -1.0)):
                o = own[end]
                o[0] += sign * g * a
                o[1] += sign * g * b
                o[2] += sign * g * c
                o[3] += g * r[q] * a * a
                o[4] += g * r[q] * b * b
                o[5] += g * r[q] * c * c
                o[6] += g * r[q] * b * c
                o[7] += g * r[q] * a * c
                o[8] += g * r[q] * a * b
