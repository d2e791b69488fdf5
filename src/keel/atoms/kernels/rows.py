"""Pairs in an order that depends only on the pairs themselves, as machine code."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from keel.jit import exact_kernel

U = nb.uint64


@exact_kernel
def arrange(first_of: Any, j_of: Any, shifts: Any, extent: Any, full: bool) -> Any:
    """Sort pairs by (i, j, shift); returns their ends (2, E), the place of each shift (E,), and all places in use.

    ``first_of``, ``j_of``, ``shifts``: each pair once, in rows by its first atom. Whole shifts lie within -``extent``
    and ``extent`` (3,), and their places are those in the table of all of these, so that the opposite shift has the
    opposite place. A half list has i < j, or i = j and the later of two opposite shifts; a ``full`` one has both.
    """
    n_atoms, n_pairs = len(first_of) - 1, len(j_of)
    size = 2 * n_pairs if full else n_pairs
    middle = ((2 * extent[0] + 1) * (2 * extent[1] + 1) * (2 * extent[2] + 1) - 1) // 2
    i_list, j_list, place_list = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    in_row, in_column = np.zeros(n_atoms + 1, np.int64), np.zeros(n_atoms + 1, np.int64)
    n = 0
    for i in range(n_atoms):
        for k in range(first_of[i], first_of[i + 1]):
            j = j_of[k]
            place = shifts[k, 0] + extent[0]
            place = place * (2 * extent[1] + 1) + shifts[k, 1] + extent[1]
            place = place * (2 * extent[2] + 1) + shifts[k, 2] + extent[2]
            forward = i < j or (i == j and place > middle)
            for backward in range(2):
                if full or (backward == 0) == forward:
                    a, b = (i, j) if backward == 0 else (j, i)
                    i_list[n] = a
                    j_list[n] = b
                    place_list[n] = place if backward == 0 else 2 * middle - place
                    in_row[a + 1] += 1
                    in_column[b + 1] += 1
                    n += 1
    # First by j and then, keeping that order, by i.
    order = _by(j_list, in_column, np.arange(size))
    order = _by(i_list, in_row, order)
    edges, places = np.empty((2, size), np.int64), np.empty(size, np.int32)
    used = np.zeros(2 * middle + 1, np.bool_)
    for k in range(size):
        q = order[k]
        place = place_list[q]
        used[place] = True
        edges[0, k] = i_list[q]
        edges[1, k] = j_list[q]
        # Few pairs have both atoms in common, so they are sorted by insertion.
        p = k
        while p > 0 and edges[0, p - 1] == edges[0, k] and edges[1, p - 1] == edges[1, k] and places[p - 1] > place:
            places[p] = places[p - 1]
            p -= 1
        places[p] = place
    return edges, places, used


@exact_kernel
def _by(key_of: Any, counts: Any, order: Any) -> Any:
    """Sort an order of pairs by a key, keeping that of equals; ``counts`` of each key come one place too late."""
    place = np.cumsum(counts)
    result = np.empty_like(order)
    for q in order:
        key = key_of[q]
        result[place[key]] = q
        place[key] += 1
    return result


@exact_kernel
def renumber(places: Any, used: Any) -> None:
    """Count only the places in use."""
    number = np.cumsum(used) - 1
    for k in range(len(places)):
        places[k] = number[places[k]]
