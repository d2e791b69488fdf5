"""The moves that make a child of a parent structure, as pure functions of arrays and a random generator.

All are vectorised over the atoms of any number of structures at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]


def random_rotations(rng: np.random.Generator, n: int) -> Floats:
    """Return n rotation matrices, uniform over all rotations, shape (n, 3, 3).

    Each comes from a uniform unit quaternion (Shoemake, Graphics Gems III, 124, 1992).
    """
    q = rng.standard_normal((n, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    w, x, y, z = q.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def random_deformations(rng: np.random.Generator, n: int, strain: float) -> Floats:
    """Return n symmetric deformations I + e, shape (n, 3, 3).

    The principal strains (eigenvalues of e) are uniform in [-strain, strain], along uniformly random axes, so that no
    length changes by more than the factor 1 +- strain.
    """
    axes = random_rotations(rng, n)
    principal = rng.uniform(-strain, strain, (n, 1, 3))
    return np.eye(3) + (axes * principal) @ axes.transpose(0, 2, 1)


def random_directions(rng: np.random.Generator, n: int, dtype: DTypeLike = np.float64) -> Floats:
    """Return n unit vectors, uniform over the sphere, shape (n, 3)."""
    # A normal vector is exactly zero with a probability of about 1e-130 only, in float32 about 1e-20.
    vectors: Floats = rng.standard_normal((n, 3), dtype=np.float32 if dtype == np.float32 else np.float64)
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors


def disjoint(first: Indices, second: Indices) -> NDArray[np.bool_]:
    """Return which pairs to keep so that no atom is in two: a pair gives way to earlier ones that are kept."""
    keep = np.zeros(len(first), dtype=bool)
    open_pairs = np.arange(len(first))
    while len(open_pairs):
        atoms = np.concatenate([first[open_pairs], second[open_pairs]])
        rank = np.tile(np.arange(len(open_pairs)), 2)
        unique, place = np.unique(atoms, return_inverse=True)
        earliest = np.full(len(unique), len(open_pairs))
        np.minimum.at(earliest, place, rank)
        ahead = (earliest[place] == rank).reshape(2, -1).all(axis=0)
        keep[open_pairs[ahead]] = True
        used = np.isin(unique, atoms.reshape(2, -1)[:, ahead])
        open_pairs = open_pairs[~used[place].reshape(2, -1).any(axis=0)]
    return keep


def pair_displacement(vectors: Floats, lengths: Floats) -> Floats:
    """Return the move of the second atom of each pair that brings it to a distance; the first moves by the opposite.

    Parameters
    ----------
    vectors
        From the first to the second atom, in angstrom, shape (P, 3).
    lengths
        The new distances in angstrom, shape (P,).
    """
    distance = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    # Two atoms in one place have no line between them: they part along x.
    direction = (
        np.where(distance[:, None] > 0, vectors, [1.0, 0.0, 0.0]) / np.where(distance > 0, distance, 1.0)[:, None]
    )
    return np.asarray(0.5 * (lengths - distance)[:, None] * direction, dtype=vectors.dtype)
