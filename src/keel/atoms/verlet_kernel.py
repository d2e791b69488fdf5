"""Which pairs of a Verlet list are within the cutoff now, as machine code."""

from __future__ import annotations

from typing import Any

import numba as nb

from keel.jit import exact_kernel

U = nb.uint64


@exact_kernel
def within(
    first: int,
    last: int,
    positions: Any,
    i_of: Any,
    j_of: Any,
    offset_of: Any,
    offsets: Any,
    shifts: Any,
    squared_cutoff: float,
    place: int,
    edges: Any,
    vectors: Any,
    squared: Any,
    edge_shift: Any,
) -> int:
    """Write ends (2, E), vectors (E, 3), squared lengths (E,) and shifts (E, 3) of the pairs within the cutoff.

    They come from ``place`` on, with room for one more; returns the place after the last. A distance that is not a
    number is not within.
    """
    for k in range(first, last):
        q, p = U(k), U(place)
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
        place += r2 < squared_cutoff
    return place
