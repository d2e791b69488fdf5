"""All pairs of a structure that are closer than a cutoff, by linked cells, as machine code.

The space that the lattice vectors span is divided into bins; an atom meets those of half of the bins around its own,
across the boundaries too, so that each pair is found once. Exact for every cell: where one is shorter than the cutoff,
a bin is met several times, in different images.
"""

from __future__ import annotations

from typing import Any

import numba as nb

from keel.jit import exact_kernel, inlined

U = nb.uint64


@exact_kernel
def sort_into_bins(fractions: Any, bins: Any, bin_of: Any, first_in: Any, sorted_atoms: Any, rank: Any) -> None:
    """Write the bin of each atom (N, 3), the place of each bin's first atom, and the order of the atoms by bins."""
    for i in range(len(fractions)):
        for k in range(3):
            bin_of[i, k] = min(max(int(fractions[i, k] * bins[k]), 0), bins[k] - 1)
        first_in[(bin_of[i, 0] * bins[1] + bin_of[i, 1]) * bins[2] + bin_of[i, 2] + 1] += 1
    for b in range(1, len(first_in)):
        first_in[b] += first_in[b - 1]
    place = first_in.copy()
    for i in range(len(fractions)):
        b = (bin_of[i, 0] * bins[1] + bin_of[i, 1]) * bins[2] + bin_of[i, 2]
        rank[i] = place[b]
        sorted_atoms[place[b]] = i
        place[b] += 1


@exact_kernel
def pairs(atoms: Any, cell: Any, bins: Any, periodic: Any, reach: Any, squared_cutoff: float, found: Any) -> int:
    """Write every pair once, in order of its first atom, and return how many there are.

    ``atoms``: sorted positions (3, N) in the cell that the atoms were taken from (N, 3), bins (N, 3), first atom in
    each bin, atoms sorted by bins, their ranks. ``reach``: how many bins away a neighbour may be. ``found``: where the
    pairs of each atom begin (N + 1,), second atoms (room,), shifts (room, 3) and squared lengths (room,); pairs beyond
    the room are counted but not written.
    """
    positions, whole, bin_of, first_in, sorted_atoms, rank = atoms
    first_of, j_of, shifts, squared = found
    room = len(j_of) - 1
    n = 0
    for i in range(len(rank)):
        first_of[i] = n
        own = rank[i]
        for a in range(reach[0] + 1):
            ta, ba = _image(bin_of[i, 0] + a, bins[0])
            if ta != 0 and not periodic[0]:
                continue
            for b in range(-reach[1] if a > 0 else 0, reach[1] + 1):
                tb, bb = _image(bin_of[i, 1] + b, bins[1])
                if tb != 0 and not periodic[1]:
                    continue
                # Bins along the third vector follow one another in memory.
                here = bin_of[i, 2] - (reach[2] if a > 0 or b > 0 else 0)
                last = bin_of[i, 2] + reach[2]
                row = (ba * bins[1] + bb) * bins[2]
                while here <= last:
                    tc, bc = _image(here, bins[2])
                    end = min(last - here + bc, bins[2] - 1)
                    here += end - bc + 1
                    if tc != 0 and not periodic[2]:
                        continue
                    start = first_in[row + bc]
                    if a == 0 and b == 0 and tc == 0:
                        start = max(start, own + 1)
                    dx = ta * cell[0, 0] + tb * cell[1, 0] + tc * cell[2, 0] - positions[0, own]
                    dy = ta * cell[0, 1] + tb * cell[1, 1] + tc * cell[2, 1] - positions[1, own]
                    dz = ta * cell[0, 2] + tb * cell[1, 2] + tc * cell[2, 2] - positions[2, own]
                    before = n
                    for k in range(start, first_in[row + end + 1]):
                        x = positions[U(0), U(k)] + dx
                        y = positions[U(1), U(k)] + dy
                        z = positions[U(2), U(k)] + dz
                        r2 = x * x + y * y + z * z
                        # Written in any case, and overwritten by the next if too far: branches are mispredicted.
                        p = U(min(n, room))
                        j_of[p] = k
                        squared[p] = r2
                        n += r2 < squared_cutoff
                    ta_i, tb_i, tc_i = ta + whole[i, 0], tb + whole[i, 1], tc + whole[i, 2]
                    for k in range(before, min(n, room)):
                        j = U(sorted_atoms[U(j_of[U(k)])])
                        j_of[U(k)] = j
                        shifts[U(k), U(0)] = ta_i - whole[j, U(0)]
                        shifts[U(k), U(1)] = tb_i - whole[j, U(1)]
                        shifts[U(k), U(2)] = tc_i - whole[j, U(2)]
    first_of[len(rank)] = n
    return n


@inlined
def _image(place: int, bins: int) -> tuple[int, int]:
    """Return in which image of the cell a bin lies, and which of its bins it is."""
    image = place // bins
    return image, place - image * bins
