"""Children: perturbed structures, and their neighbours found from the lists of their parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.perturbation.moves import Floats, disjoint, pair_displacement, random_deformations, random_directions
from keel.perturbation.parents import Parent, Partners
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
    partners: Sequence[Partners],
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
    dtype = partners[0].vectors.dtype
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    deformation = random_deformations(rng, len(sizes), settings.strain)
    deformation[~periodic] = np.eye(3)
    deformation = deformation.astype(dtype)
    lengths = settings.lengths[rounds].astype(dtype)
    displacement = random_directions(rng, int(offsets[-1]), dtype) * lengths.repeat(sizes)[:, None]
    choices = _choose(partners, offsets, settings.pair_fraction, rng)
    first, second, vectors, bond, child = choices
    vectors = np.einsum("pi,pij->pj", vectors, deformation[child]) + displacement[second] - displacement[first]
    pair_lengths = rng.uniform(*settings.pair_range, len(first)).astype(dtype) * bond
    move = pair_displacement(vectors, pair_lengths)
    displacement[first] -= move
    displacement[second] += move
    return Children(rounds, offsets, deformation, displacement, np.stack([first, second]), pair_lengths)


def _choose(
    partners: Sequence[Partners], offsets: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """Let each atom, with probability ``fraction``, choose a partner; return pairs that share no atom."""
    chosen = np.flatnonzero(rng.random(int(offsets[-1]), dtype=np.float32) < fraction)
    rng.shuffle(chosen)
    choices = [len(p.first) for p in partners]
    first = np.concatenate([p.first for p in partners]) + np.repeat(offsets[:-1], choices)
    cumulative = np.concatenate([p.cumulative for p in partners]) + np.repeat(offsets[:-1], choices)
    choice = np.searchsorted(cumulative, chosen + rng.random(len(chosen)), side="right")
    # Atoms without a possible partner are left alone.
    found = choice < len(first)
    found[found] = first[choice[found]] == chosen[found]
    choice = choice[found]
    child = np.repeat(np.arange(len(partners)), choices)[choice]
    second = np.concatenate([p.second for p in partners])[choice] + offsets[child]
    keep = disjoint(first[choice], second)
    choice, child, second = choice[keep], child[keep], second[keep]
    vectors = np.concatenate([p.vectors for p in partners])[choice]
    bond = np.concatenate([p.bond for p in partners])[choice]
    return first[choice], second, vectors, bond, child


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of some children that are closer than a radius, each once.

    Parameters
    ----------
    first, second
        Atoms, shape (E,).
    vectors
        From the first to the second in angstrom, shape (E, 4) with a zero.
    shifts
        Whole lattice vectors, shape (E, 4) with a zero.
    squared
        Squared distances, shape (E,).
    radius
        In angstrom.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: Floats
    shifts: NDArray[np.int16]
    squared: Floats
    radius: float


def find_pairs(parents: Sequence[Parent], children: Children) -> Pairs:
    """Find the pairs of children closer than the radius of their parents' lists."""
    padded = np.zeros((len(children.displacement), 4), dtype=children.displacement.dtype)
    padded[:, :3] = children.displacement
    moved = np.sqrt(np.einsum("ij,ij->i", padded, padded))
    deformation = np.zeros((len(parents), 4, 4), dtype=padded.dtype)
    deformation[:, :3, :3] = children.deformation
    smallest = np.linalg.eigvalsh(children.deformation)[:, 0]
    columns: list[tuple[NDArray[Any], ...]] = []
    for b, parent in enumerate(parents):
        atoms = slice(children.offsets[b], children.offsets[b + 1])
        columns.append(_pairs_of(parent, deformation[b], float(smallest[b]), padded[atoms], moved[atoms]))
    counts = [len(c[0]) for c in columns]
    first, second, vectors, shifts, squared = (np.concatenate(c) for c in zip(*columns, strict=True))
    start = np.repeat(children.offsets[:-1], counts)
    return Pairs(first + start, second + start, vectors, shifts, squared, parents[0].radius)


def _pairs_of(
    parent: Parent, deformation: Floats, smallest: float, displacement: Floats, moved: Floats
) -> tuple[NDArray[Any], ...]:
    """Return first, second, vectors, shifts and squared distances of one child's pairs within the radius."""
    margin = 1e-4  # angstrom, for rounding in float32
    needed = (parent.radius + 2.0 * float(moved.max()) + margin) / smallest
    if needed > parent.list_cutoff:
        raise RuntimeError(f"an atom of a child of {parent.frame.source} moved further than its neighbour list covers")
    end = int(parent.distance.searchsorted(parent.distance.dtype.type(needed)))
    first, second = parent.first[:end], parent.second[:end]
    # |r (I + e)| >= smallest |r|: most pairs are ruled out by how far their atoms moved, before any vector is computed.
    slack = parent.distance[:end] * smallest - moved.take(first)
    close = np.flatnonzero(slack - moved.take(second) < parent.radius + margin)
    first, second = first.take(close), second.take(close)
    vectors = parent.vectors.take(close, axis=0) @ deformation
    vectors += displacement.take(second, axis=0)
    vectors -= displacement.take(first, axis=0)
    squared = vectors[:, 0] * vectors[:, 0] + vectors[:, 1] * vectors[:, 1] + vectors[:, 2] * vectors[:, 2]
    within = np.flatnonzero(squared < parent.radius**2)
    shifts = parent.shifts.take(close.take(within), axis=0)
    return first.take(within), second.take(within), vectors.take(within, axis=0), shifts, squared.take(within)
