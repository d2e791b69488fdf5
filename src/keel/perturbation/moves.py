"""The moves that make a child of a parent structure, as pure functions of arrays and a random generator.

All are vectorised over the atoms of any number of structures at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]


def random_deformations(rng: np.random.Generator, n: int, strain: float) -> Floats:
    """Return n symmetric deformations I + e, shape (n, 3, 3).

    The principal strains (eigenvalues of e) are uniform in [-strain, strain], along uniformly random axes, so that no
    length changes by more than the factor 1 +- strain.
    """
    # The Q of a normal matrix is a uniformly random set of axes, but for their signs, which do not matter here.
    axes = np.linalg.qr(rng.standard_normal((n, 3, 3)))[0]
    principal = rng.uniform(-strain, strain, (n, 1, 3))
    deformations: Floats = np.eye(3) + (axes * principal) @ axes.transpose(0, 2, 1)
    return deformations


def random_directions(rng: np.random.Generator, n: int, dtype: DTypeLike = np.float64) -> Floats:
    """Return n unit vectors, uniform over the sphere, shape (n, 3)."""
    # A normal vector is exactly zero with a probability of about 1e-130 only, in float32 about 1e-20.
    vectors: Floats = rng.standard_normal((n, 3), dtype=np.float32 if dtype == np.float32 else np.float64)
    vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors


def disjoint(first: Indices, second: Indices) -> NDArray[np.bool_]:
    """Return which pairs to keep so that no atom is in two: a pair gives way to earlier ones that are kept."""
    used: set[int] = set()
    keep = np.zeros(len(first), dtype=bool)
    for k, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if used.isdisjoint(pair):
            keep[k] = True
            used.update(pair)
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
