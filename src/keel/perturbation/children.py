"""Children: perturbed structures, and their neighbours found from the lists of their parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keel.perturbation.moves import Floats, disjoint, pair_displacement, random_deformations, random_directions
from keel.perturbation.parents import Parent, Records, join
from keel.perturbation.settings import PerturbationSettings


@dataclass(frozen=True, eq=False)
class Children:
    """B perturbed structures with N atoms; child b stands at atoms ``offsets[b]`` to ``offsets[b + 1]``.

    The position of an atom is x (I + e) + u.

    Parameters
    ----------
    rounds
        Round of each child, shape (B,).
    offsets
        Shape (B + 1,).
    deformation
        I + e, shape (B, 3, 3).
    displacement
        u in angstrom, shape (N, 3).
    pairs
        Atoms of the pairs of step 2, shape (2, P).
    pair_lengths
        The distances that they were set to, in angstrom, shape (P,).
    """

    rounds: NDArray[np.int64]
    offsets: NDArray[np.int64]
    deformation: Floats
    displacement: Floats
    pairs: NDArray[np.int64]
    pair_lengths: Floats


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
        Choices of step 2 of each structure; its dtype is that of the result.
    sizes
        Number of atoms of each structure, shape (B,).
    periodic
        Whether a structure is periodic in all directions, and so is strained, shape (B,).
    rounds
        Round of each child, shape (B,).
    settings, rng
        The same settings and generator state give the same children.
    """
    dtype = partners[0]["vector"].dtype
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    deformation = random_deformations(rng, len(sizes), settings.strain)
    deformation[~periodic] = np.eye(3)
    deformation = deformation.astype(dtype)
    lengths = settings.lengths[rounds].astype(dtype)
    displacement = random_directions(rng, int(offsets[-1]), dtype) * lengths.repeat(sizes)[:, None]
    first, second, vectors, bond, child = _choose(partners, offsets, settings.pair_fraction, rng)
    vectors = np.einsum("pi,pij->pj", vectors, deformation[child]) + displacement[second] - displacement[first]
    pair_lengths = rng.uniform(*settings.pair_range, len(first)).astype(dtype) * bond
    move = pair_displacement(vectors, pair_lengths)
    displacement[first] -= move
    displacement[second] += move
    return Children(rounds, offsets, deformation, displacement, np.stack([first, second]), pair_lengths)


def _choose(
    partners: Sequence[Records], offsets: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """Let each atom, with probability ``fraction``, choose a partner; return pairs that share no atom."""
    draws = rng.random((2, int(offsets[-1])))
    chosen = np.flatnonzero(draws[0] < fraction)
    # The smallest draws first, so that no atom comes before others by its place in the file.
    chosen = chosen[draws[0, chosen].argsort()]
    counts = [len(p) for p in partners]
    table = join(partners)
    start = np.repeat(offsets[:-1], counts)
    choice = np.searchsorted(table["cumulative"] + start, chosen + draws[1, chosen], side="right")
    # Atoms without a possible partner are left alone.
    possible = choice < len(table)
    chosen, choice = chosen[possible], choice[possible]
    pairs, start = table[choice], start[choice]
    first, second = pairs["first"] + start, pairs["second"] + start
    keep = (first == chosen) & disjoint(first, second)
    child = np.searchsorted(offsets, first[keep], side="right") - 1
    return first[keep], second[keep], pairs["vector"][keep], pairs["bond"][keep], child


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of some children that are closer than a radius, each once.

    Parameters
    ----------
    ends
        First and second atom, shape (2, E).
    vectors
        From the first to the second in angstrom, shape (3, E).
    shifts
        Whole lattice vectors, shape (E, 3).
    squared
        Squared distances, shape (E,).
    radius
        In angstrom.
    """

    ends: NDArray[np.int64]
    vectors: Floats
    shifts: Floats
    squared: Floats
    radius: float


def find_pairs(parents: Sequence[Parent], children: Children) -> Pairs:
    """Find the pairs of children closer than the radius of their parents' lists.

    In a child the vector of a pair is r (I + e) + u_j - u_i.
    """
    radius = parents[0].radius
    moved = np.sqrt(np.einsum("ij,ij->i", children.displacement, children.displacement))
    smallest = np.linalg.eigvalsh(children.deformation)[:, 0].tolist()
    edges, vectors = [], []
    for b, parent in enumerate(parents):
        near = _within_reach(parent, smallest[b], moved[children.offsets[b] : children.offsets[b + 1]])
        edges.append(near)
        vectors.append(children.deformation[b] @ near["vector"].T)
    start = np.repeat(children.offsets[:-1], [len(e) for e in edges])
    edge, vector = join(edges), np.concatenate(vectors, axis=1)
    ends = np.stack([edge["first"] + start, edge["second"] + start])
    displacement = np.ascontiguousarray(children.displacement.T)
    vector += displacement.take(ends[1], axis=1)
    vector -= displacement.take(ends[0], axis=1)
    x, y, z = vector
    squared = x * x + y * y + z * z
    within = np.flatnonzero(squared < radius**2)
    return Pairs(
        ends.take(within, axis=1),
        vector.take(within, axis=1),
        edge.take(within)["shift"],
        squared.take(within),
        radius,
    )


def _within_reach(parent: Parent, smallest: float, moved: Floats) -> Records:
    """Return the pairs of a parent that can be within the radius in a child, by how far their atoms moved.

    |r (I + e) + u_j - u_i| >= smallest |r| - |u_i| - |u_j|, with the smallest eigenvalue of I + e.
    """
    reach = parent.radius + 1e-4  # angstrom; a margin for rounding in float32
    needed = (reach + 2.0 * float(moved.max())) / smallest
    if needed > parent.list_cutoff:
        raise RuntimeError(f"an atom of a child of {parent.frame.source} moved further than its neighbour list covers")
    end = parent.distance.searchsorted(parent.distance.dtype.type(needed))
    closest = parent.distance[:end] * smallest
    closest -= moved.take(parent.ends[0, :end])
    closest -= moved.take(parent.ends[1, :end])
    return parent.edges.take(np.flatnonzero(closest < reach))
