"""The embedded-atom method over many pairs as machine code, with functions of distance from tables.

    pass 1    rho_i += f_j(r),  rho_j += f_i(r)                     over pairs, each once
    pass 2    F(rho), F'(rho)                                       over atoms
    pass 3    dE/dr = phi' + F'_i f_j' + F'_j f_i',  E_i += phi/2   over pairs

For each interval of r a table holds a cubic of the value and one of the derivative: 64 bytes, a line of the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from keel.jit import kernel

U = nb.uint64
"""Indices without a sign need no test for being negative."""


@kernel
def densities(edges: Any, species: Any, functions: Any, step: Any, rho: Any) -> None:
    """Pass 1: ``rho`` (N,) is added to, ``functions`` are (elements, intervals, 8)."""
    vectors, i_of, j_of = edges
    inverse, intervals = step[0], int(step[1])
    table = functions.reshape(-1)
    position = np.empty(256, np.int64)
    rest = np.empty(256, np.float64)
    for start in range(0, len(vectors), 256):
        size = min(256, len(vectors) - start)
        for k in range(size):
            q = U(start + k)
            x, y, z = vectors[q, U(0)], vectors[q, U(1)], vectors[q, U(2)]
            u = math.sqrt(x * x + y * y + z * z) * inverse
            # What is not a number, or too large, ends up in the last interval and stays what it is.
            whole = int(u) if u < intervals else intervals - 1
            position[U(k)] = whole * 8
            rest[U(k)] = u - whole
        for k in range(size):
            q, t = U(start + k), rest[U(k)]
            i, j = U(i_of[q]), U(j_of[q])
            a = U(species[i] * intervals * 8 + position[U(k)])
            b = U(species[j] * intervals * 8 + position[U(k)])
            rho[i] += table[b] + t * (table[b + U(1)] + t * (table[b + U(2)] + t * table[b + U(3)]))
            rho[j] += table[a] + t * (table[a + U(1)] + t * (table[a + U(2)] + t * table[a + U(3)]))


@kernel
def embeddings(rho: Any, species: Any, embedding: Any, delta: float, energies: Any, slopes: Any) -> None:
    """Pass 2: F = embedding (sqrt(delta) - sqrt(rho + delta)) into ``energies`` and F' into ``slopes``, both (N,)."""
    at_rest = math.sqrt(delta)
    for i in range(len(rho)):
        root = math.sqrt(rho[i] + delta)
        energies[i] = embedding[species[i]] * (at_rest - root)
        slopes[i] = -0.5 * embedding[species[i]] / root


@kernel
def gradients(edges: Any, species: Any, functions: Any, step: Any, slopes: Any, energies: Any, gradient: Any) -> None:
    """Pass 3: dE/d vectors into ``gradient`` (E, 3), half of each pair's energy added to each atom's (N,)."""
    vectors, i_of, j_of = edges
    of_atoms, pairs, pair_of = functions
    inverse, intervals = step[0], int(step[1])
    table, phi = of_atoms.reshape(-1), pairs.reshape(-1)
    for k in range(len(vectors)):
        q = U(k)
        i, j = U(i_of[q]), U(j_of[q])
        x, y, z = vectors[q, U(0)], vectors[q, U(1)], vectors[q, U(2)]
        r = math.sqrt(x * x + y * y + z * z)
        u = r * inverse
        whole = int(u) if u < intervals else intervals - 1
        t = u - whole
        a = U((species[i] * intervals + whole) * 8)
        b = U((species[j] * intervals + whole) * 8)
        p = U((pair_of[U(species[i]), U(species[j])] * intervals + whole) * 8)
        half = 0.5 * (phi[p] + t * (phi[p + U(1)] + t * (phi[p + U(2)] + t * phi[p + U(3)])))
        energies[i] += half
        energies[j] += half
        to_i = table[b + U(4)] + t * (table[b + U(5)] + t * (table[b + U(6)] + t * table[b + U(7)]))
        to_j = table[a + U(4)] + t * (table[a + U(5)] + t * (table[a + U(6)] + t * table[a + U(7)]))
        slope = phi[p + U(4)] + t * (phi[p + U(5)] + t * (phi[p + U(6)] + t * phi[p + U(7)]))
        slope = (slope + slopes[i] * to_i + slopes[j] * to_j) / r
        gradient[q, U(0)] = slope * x
        gradient[q, U(1)] = slope * y
        gradient[q, U(2)] = slope * z
