"""Children: perturbed structures, and their neighbours found from the lists of their parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.atoms.kernels.skin_pairs import SkinPairs, divided
from keel.atoms.neighbours import states_of
from keel.perturbation.moves import choose_pairs, random_deformations, random_steps, set_distances
from keel.perturbation.parents import Parent, Records
from keel.perturbation.settings import PerturbationSettings


@dataclass(frozen=True, eq=False)
class Children:
    """B perturbed structures with N atoms; child b has atoms ``offsets[b]`` to ``offsets[b + 1]``.

    The position of an atom is x (I + e) + u.

    Parameters
    ----------
    rounds
        Round of each child, shape (B,).
    offsets
        Shape (B + 1,).
    deformation, smallest
        I + e, shape (B, 3, 3), and its smallest eigenvalue, shape (B,).
    displacement
        u in angstrom, shape (N, 3).
    pairs
        Atoms of the pairs of step 2, shape (2, P).
    pair_lengths
        The distances that they were set to, in angstrom, shape (P,).
    """

    rounds: NDArray[np.int64]
    offsets: NDArray[np.int64]
    deformation: Array
    smallest: Array
    displacement: Array
    pairs: NDArray[np.int64]
    pair_lengths: Array

    @classmethod
    def unmoved(cls, sizes: NDArray[np.int64]) -> Children:
        """Return children identical to their parents, with these numbers of atoms (B,)."""
        n, offsets = len(sizes), np.concatenate([[0], np.cumsum(sizes)])
        still = np.tile(np.eye(3), (n, 1, 1)), np.ones(n), np.zeros((int(offsets[-1]), 3))
        return cls(np.zeros(n, np.int64), offsets, *still, np.zeros((2, 0), np.int64), np.zeros(0))


def make_children(
    partners: Sequence[Records],
    sizes: NDArray[np.int64],
    periodic: NDArray[np.bool_],
    rounds: NDArray[np.int64],
    settings: PerturbationSettings,
    rng: np.random.Generator,
) -> Children:
    """Perturb some structures: strain, step 1 (every atom), step 2 (pairs).

    Parameters
    ----------
    partners
        Choices of step 2 of each structure; directions are drawn in its precision.
    sizes
        Number of atoms of each structure, shape (B,).
    periodic
        Whether a structure is periodic in all directions, and so is strained, shape (B,).
    rounds
        Round of each child, shape (B,).
    settings, rng
        The same settings and generator state give the same children.
    """
    offsets = np.zeros(len(sizes) + 1, np.int64)
    sizes.cumsum(out=offsets[1:])
    deformation, smallest = random_deformations(rng, periodic, settings.strain)
    displacement = random_steps(rng, settings.lengths[rounds], offsets, partners[0].dtype["bond"])
    chosen, order = choose_pairs(rng, partners, offsets, settings.pair_fraction)
    factors = rng.uniform(*settings.pair_range, len(order))
    pair_lengths = set_distances(chosen, factors, order, deformation, displacement)
    return Children(rounds, offsets, deformation, smallest, displacement, chosen.atoms, pair_lengths)


@dataclass(frozen=True, eq=False)
class ChildPairs:
    """B children with N atoms, and all pairs that are closer than a radius, each once.

    Parameters
    ----------
    numbers, structure, positions
        Of each atom: atomic number (N,), structure (N,), position in angstrom (N, 3).
    cells, pbc
        Lattice vectors of each child in angstrom (B, 3, 3), and whether it is periodic in their directions (B, 3).
    shifts, translations
        Whole lattice vectors that occur, of all children, shape (S, 3), and the same in angstrom.
    first_of
        Where the pairs of each atom begin, shape (N + 1,).
    j_of, shift_of, squared
        Second atom of each pair, place of its shift, and squared distance in angstrom^2, shape (E,).
    radius
        In angstrom.
    states
        See :class:`~keel.atoms.graph.AtomGraph`.
    """

    numbers: NDArray[np.int64]
    structure: NDArray[np.int64]
    positions: Array
    cells: Array
    pbc: NDArray[np.bool_]
    shifts: Array
    translations: Array
    first_of: NDArray[np.int64]
    j_of: NDArray[np.int32]
    shift_of: NDArray[np.int32]
    squared: Array
    radius: float
    states: tuple[Mapping[str, float], ...]

    @property
    def ends(self) -> NDArray[np.int64]:
        """First and second atom of each pair, shape (2, E)."""
        return np.stack([np.arange(len(self.numbers)).repeat(np.diff(self.first_of)), self.j_of])

    def vectors(self, ends: NDArray[np.int64]) -> Array:
        """Return the vectors from the first to the second atom in angstrom, shape (E, 3)."""
        first, second = (self.positions.take(end, axis=0) for end in ends)
        vectors: Array = second - first + self.translations.take(self.shift_of, axis=0)
        return vectors

    def lists(self) -> SkinPairs:
        """Return the pairs as kernels of potentials want them."""
        parts = divided(self.first_of, self.structure)
        pairs = self.first_of, self.j_of, self.shift_of
        return SkinPairs(*pairs, self.structure, self.numbers, parts, self.translations)


def find_pairs(parents: Sequence[Parent], children: Children) -> ChildPairs:
    """Find the pairs of children closer than the radius of their parents' lists.

    In a child the vector of a pair is r (I + e) + u_j - u_i.

    Raises
    ------
    RuntimeError
        If an atom moved further than a list allows for.
    """
    from keel.perturbation.kernels import near

    bounds = children.offsets.tolist()
    n, room = bounds[-1], sum(len(p.j_of) for p in parents) + 1
    shifts = np.empty((sum(len(p.shifts) for p in parents), 3))
    cells, atoms = np.empty((len(parents), 3, 3)), np.empty((2, n), np.int64)
    positions, translations = np.empty((n, 3)), np.empty_like(shifts)
    structures = *atoms, positions, cells, shifts, translations
    first_of, squared = np.empty(n + 1, np.int64), np.empty(room)
    pairs = first_of, *np.empty((2, room), np.int32), squared
    shift = size = 0
    for b, parent in enumerate(parents):
        move = children.deformation[b], children.smallest[b], children.displacement[bounds[b] : bounds[b + 1]]
        starts, limits = (b, bounds[b], shift, size), (parent.radius, parent.list_cutoff)
        size = near(parent.arrays, move, limits, starts, structures, pairs)
        if size < 0:
            source = parent.frame.source
            raise RuntimeError(f"an atom of a child of {source} moved further than its neighbour list covers")
        shift += len(parent.shifts)
    pbc = np.array([p.frame.pbc for p in parents])
    of_pairs = pairs[1][:size], pairs[2][:size], squared[:size]
    of_cells = cells, pbc, shifts, translations
    states = states_of([p.frame for p in parents])
    return ChildPairs(atoms[0], atoms[1], positions, *of_cells, first_of, *of_pairs, parents[0].radius, states)
