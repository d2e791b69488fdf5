"""Parents: structures prepared so that one neighbour list serves all their children."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.neighbours import neighbour_list
from keel.perturbation.moves import Floats
from keel.perturbation.settings import PerturbationSettings


@dataclass(frozen=True, eq=False)
class Partners:
    """Who may be paired with whom in step 2, for N atoms and C choices in order of the first atom.

    Each choice is a pair (i, j, image of j). To draw a partner of atom i, draw u in [0, 1) and take the first choice
    whose ``cumulative`` exceeds i + u: this draws an element uniformly, then one of its candidates.

    Parameters
    ----------
    first, second
        Atoms of a pair, shape (C,).
    vectors
        From the first to the second in angstrom, shape (C, 3).
    bond
        Sum of the covalent radii in angstrom, shape (C,).
    cumulative
        i + cumulative probability, shape (C,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: Floats
    bond: Floats
    cumulative: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parent:
    """A structure with all pairs that can come within reach in any of its children.

    Parameters
    ----------
    frame
        The structure.
    radius
        The list serves children up to this distance, in angstrom.
    first, second
        Atoms of E pairs (half list), in order of their distance, shape (E,).
    vectors
        From the first to the second, shape (E, 4): x, y, z in angstrom and a zero.
    shifts
        Whole lattice vectors, shape (E, 4), with a zero.
    distance
        In angstrom, ascending, shape (E,).
    list_cutoff
        The list holds every pair closer than this, in angstrom.
    partners
        Choices of step 2.
    """

    frame: Frame
    radius: float
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    vectors: Floats
    shifts: NDArray[np.int16]
    distance: Floats
    list_cutoff: float
    partners: Partners

    @property
    def nbytes(self) -> int:
        """Memory of the list in bytes."""
        arrays = (self.first, self.second, self.vectors, self.shifts, self.distance)
        return sum(a.nbytes for a in arrays)


def find_partners(frame: Frame, settings: PerturbationSettings, dtype: DTypeLike = np.float64) -> Partners:
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
    return Partners(
        first=i,
        second=j,
        vectors=vectors[chosen].astype(dtype),
        bond=bond[chosen].astype(dtype),
        cumulative=_cumulative(i, group),
    )


def prepare(frame: Frame, radius: float, settings: PerturbationSettings, dtype: DTypeLike = np.float32) -> Parent:
    """Return a structure with a neighbour list that serves all its children up to ``radius``.

    In a child the vector of a pair is r (I + e) + u_j - u_i, with |e| <= strain and |u| <= :func:`largest_move`; so
    every pair of a child that is closer than ``radius`` is closer than (radius + 2 max |u|)/(1 - strain) in the parent.
    """
    partners = find_partners(frame, settings, dtype)
    list_cutoff = (radius + 2.0 * largest_move(partners, settings)) / (1.0 - settings.strain) + 1e-3
    edge_index, shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, list_cutoff, half_list=True)
    vectors, distance = _vectors(frame, edge_index, shifts)
    order = distance.argsort()
    return Parent(
        frame=frame,
        radius=radius,
        first=edge_index[0, order].astype(np.int32),
        second=edge_index[1, order].astype(np.int32),
        vectors=_padded(vectors[order].astype(dtype)),
        shifts=_padded(shifts[order].astype(np.int16)),
        distance=distance[order].astype(dtype),
        list_cutoff=list_cutoff,
        partners=partners,
    )


def largest_move(partners: Partners, settings: PerturbationSettings) -> float:
    """Return the largest distance in angstrom that an atom of a child can move after the strain."""
    step_1 = max(settings.displacement)
    if settings.pair_fraction == 0 or not len(partners.first):
        return step_1
    distance = np.linalg.norm(partners.vectors, axis=1)
    longest = distance * (1.0 + settings.strain) + 2.0 * step_1
    shortest = np.maximum(distance * (1.0 - settings.strain) - 2.0 * step_1, 0.0)
    closest, furthest = settings.pair_range
    change = np.maximum(longest - closest * partners.bond, furthest * partners.bond - shortest)
    return step_1 + 0.5 * float(change.max())


class ParentCache:
    """Prepared parents, the least recently used given up when they need more than ``max_bytes`` of memory."""

    def __init__(self, frames: Sequence[Frame], build: Callable[[Frame], Parent], max_bytes: float) -> None:
        self.frames, self.build, self.max_bytes = frames, build, max_bytes
        self._prepared: OrderedDict[int, Parent] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, index: int) -> Parent:
        """Return a parent by the number of its frame."""
        if index in self._prepared:
            self._prepared.move_to_end(index)
            return self._prepared[index]
        parent = self._prepared[index] = self.build(self.frames[index])
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


def _padded(rows: NDArray[Any]) -> NDArray[Any]:
    # numpy gathers rows of 8 or 16 bytes five times faster than rows of 6 or 12.
    padded = np.zeros((len(rows), 4), dtype=rows.dtype)
    padded[:, :3] = rows
    return padded


def _cumulative(atom: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give each element present around an atom the same probability, shared evenly by its candidates."""
    if not len(atom):
        return np.zeros(0)
    _, group, in_group = np.unique(group, return_inverse=True, return_counts=True)
    _, first_choice, atom_rank = np.unique(atom, return_index=True, return_inverse=True)
    groups_of_atom = np.add.reduceat(1.0 / in_group[group], first_choice)
    probability = 1.0 / (in_group[group] * groups_of_atom[atom_rank])
    cumulative = np.cumsum(probability)
    # Counted anew for each atom, so that rounding does not add up over the atoms.
    before = np.concatenate([[0.0], cumulative[first_choice[1:] - 1]])
    within: NDArray[np.float64] = cumulative - before[atom_rank]
    within[np.append(first_choice[1:], len(atom)) - 1] = 1.0
    return np.add(atom, within, dtype=np.float64)
