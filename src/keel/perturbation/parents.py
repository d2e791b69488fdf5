"""Parents: structures prepared so that one neighbour list serves all their children."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.linked import half_list
from keel.atoms.neighbours import neighbour_list
from keel.perturbation.settings import PerturbationSettings

Records = NDArray[np.void]

LENGTH_STEP = 0.125
"""Rounding of pair distances in angstrom: their order need not be more precise."""


def partner_type(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the record of a choice of step 2: a pair (i, j, image of j) that atom i may set the distance of.

    ``bond`` is the sum of the covalent radii in angstrom. To draw a partner of atom i, draw u in [0, 1) and take the
    first choice whose ``cumulative`` exceeds i + u: this draws an element uniformly, then one of its candidates.
    """
    fields = [("vector", dtype, 3), ("bond", dtype), ("first", np.int64), ("second", np.int64)]
    return np.dtype([*fields, ("cumulative", np.float64)])


@dataclass(frozen=True, eq=False)
class Parent:
    """A structure with all pairs that can come within range in any of its children.

    Parameters
    ----------
    frame
        The structure.
    radius
        The list serves children up to this distance, in angstrom.
    list_cutoff
        The list contains every pair closer than this, in angstrom.
    shifts
        Whole lattice vectors that occur, shape (S, 3).
    first_of
        Where the pairs of each atom begin, shape (N + 1,); each of E pairs occurs once.
    j_of, shift_of
        Second atom of each pair, and the place of its shift, shape (E,).
    lengths
        In angstrom, rounded down, ascending for each atom, shape (E,).
    partners
        Choices of step 2.
    """

    frame: Frame
    radius: float
    list_cutoff: float
    shifts: NDArray[np.float64]
    first_of: NDArray[np.int64]
    j_of: NDArray[np.int32]
    shift_of: NDArray[np.int32]
    lengths: NDArray[np.float32]
    partners: Records

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Numbers, positions, cell and list, as kernels want them."""
        structure = map(np.ascontiguousarray, (self.frame.numbers, self.frame.positions, self.frame.cell))
        return *structure, self.shifts, self.first_of, self.j_of, self.shift_of, self.lengths

    @property
    def nbytes(self) -> int:
        """Memory of the list in bytes."""
        return self.j_of.nbytes + self.shift_of.nbytes + self.lengths.nbytes


def find_partners(frame: Frame, settings: PerturbationSettings, dtype: DTypeLike = np.float64) -> Records:
    """Return the choices of step 2: all near atoms of an element, or else its nearest atom within reach."""
    radii = COVALENT_RADII[frame.numbers]
    edge_index, shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, settings.reach * 2.0 * radii.max())
    vectors, distance = _vectors(frame, edge_index, shifts)
    i, j = edge_index
    bond = radii[i] + radii[j]
    # An atom and its own image move together: their distance cannot be set.
    possible = np.flatnonzero((distance < settings.reach * bond) & (i != j))
    possible = possible[np.lexsort((distance[possible], frame.numbers[j[possible]], i[possible]))]
    i, j, vectors, distance, bond = i[possible], j[possible], vectors[possible], distance[possible], bond[possible]
    starts_group = np.ones(len(i), dtype=bool)
    starts_group[1:] = (i[1:] != i[:-1]) | (frame.numbers[j[1:]] != frame.numbers[j[:-1]])
    chosen = starts_group | (distance < settings.near * bond)
    i, j, group = i[chosen], j[chosen], np.cumsum(starts_group)[chosen]
    partners = np.empty(len(i), dtype=partner_type(dtype))
    partners["vector"], partners["bond"] = vectors[chosen], bond[chosen]
    partners["first"], partners["second"], partners["cumulative"] = i, j, _cumulative(i, group)
    return partners


def prepare(frame: Frame, radius: float, settings: PerturbationSettings, dtype: DTypeLike = np.float32) -> Parent:
    """Return a structure with a neighbour list that serves all its children up to ``radius``.

    In a child the vector of a pair is r (I + e) + u_j - u_i, with |e| <= strain and |u| <= :func:`largest_move`; so
    every pair of a child that is closer than ``radius`` is closer than (radius + 2 max |u|)/(1 - strain) in the parent.
    """
    from keel.perturbation.kernels import by_length

    partners = find_partners(frame, settings, dtype)
    list_cutoff = (radius + 2.0 * largest_move(partners, settings)) / (1.0 - settings.strain) + 1e-3
    found = half_list(frame.positions, frame.cell, frame.pbc, list_cutoff)
    size = len(found.j_of)
    ordered = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32)
    pairs = found.first_of, found.j_of, found.shifts, found.squared
    lowest, sizes = by_length(pairs, LENGTH_STEP, int(list_cutoff / LENGTH_STEP) + 1, ordered)
    shifts = np.indices(sizes).reshape(3, -1).T + lowest.astype(np.float64)
    return Parent(frame, radius, list_cutoff, shifts, found.first_of, *ordered, partners)


def largest_move(partners: Records, settings: PerturbationSettings) -> float:
    """Return the largest distance in angstrom that an atom of a child can move after the strain."""
    step_1 = max(settings.displacement)
    if settings.pair_fraction == 0 or not len(partners):
        return step_1
    distance, bond = np.linalg.norm(partners["vector"], axis=1), partners["bond"]
    longest = distance * (1.0 + settings.strain) + 2.0 * step_1
    shortest = np.maximum(distance * (1.0 - settings.strain) - 2.0 * step_1, 0.0)
    closest, furthest = settings.pair_range
    change = np.maximum(longest - closest * bond, furthest * bond - shortest)
    return step_1 + 0.5 * float(change.max())


class ParentCache:
    """Prepared parents; the least recently used are dropped when they need more than ``max_bytes`` of memory."""

    def __init__(self, build: Callable[[int], Parent], max_bytes: float) -> None:
        self.build, self.max_bytes = build, max_bytes
        self._prepared: OrderedDict[int, Parent] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, index: int) -> Parent:
        """Return a parent by its number."""
        if index in self._prepared:
            self._prepared.move_to_end(index)
            return self._prepared[index]
        parent = self._prepared[index] = self.build(index)
        self._bytes += parent.nbytes
        while self._bytes > self.max_bytes and len(self._prepared) > 1:
            self._bytes -= self._prepared.popitem(last=False)[1].nbytes
        return parent


def _vectors(
    frame: Frame, edge_index: NDArray[np.int64], shifts: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    i, j = edge_index
    vectors = frame.positions[j] - frame.positions[i] + shifts @ frame.cell
    return vectors, np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def _cumulative(atom: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give each element around an atom the same probability, shared evenly by its candidates (one group)."""
    probability = 1.0 / np.bincount(group)[group]
    rank = np.unique(atom, return_inverse=True)[1]
    probability /= np.bincount(rank, probability)[rank]
    # Each atom with a choice adds one to the sum.
    cumulative: NDArray[np.float64] = np.cumsum(probability) + (atom - rank)
    return cumulative
