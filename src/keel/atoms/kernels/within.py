"""Which pairs of a Verlet list are within the cutoff now, as machine code."""

from __future__ import annotations

from typing import Any

import numba as nb

from keel.jit import exact_kernel

U = nb.uint64


@exact_kernel
def within(positions: Any, pairs: Any, squared_cutoff: float, found: Any) -> int:
    """Write what is closer than the cutoff, and return how many pairs there are.

    ``pairs``: ends i and j (E,), place of each lattice translation (E,), translations (S, 3) and their whole numbers
    (S, 3). ``found`` has room for one pair more: ends (2, E), vectors (E, 3), squared lengths (E,), shifts (E, 3).
    A distance that is not a number is not within.
    """
    i_of, j_of, offset_of, offsets, shifts = pairs
    edges, vectors, squared, edge_shift = found
    n = 0
    for k in range(len(i_of)):
        q, p = U(k), U(n)
        i, j, s = U(i_of[q]), U(j_of[q]), U(offset_of[q])
        x = positions[j, U(0)] - positions[i, U(0)] + offsets[s, U(0)]
        y = positions[j, U(1)] - positions[i, U(1)] + offsets[s, U(1)]
        z = positions[j, U(2)] - positions[i, U(2)] + offsets[s, U(2)]
        r2 = x * x + y * y + z * z
        # Written in any case, and overwritten by the next if too far: a branch would be mispredicted every third time.
        edges[U(0), p] = i
        edges[U(1), p] = j
        vectors[p, U(0)] = x
        vectors[p, U(1)] = y
        vectors[p, U(2)] = z
        squared[p] = r2
        edge_shift[p, U(0)] = shifts[s, U(0)]
        edge_shift[p, U(1)] = shifts[s, U(1)]
        edge_shift[p, U(2)] = shifts[s, U(2)]
        n += r2 < squared_cutoff
    return n
