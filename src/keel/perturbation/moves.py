"""The moves that make children of parent structures, as pure functions of arrays and a random generator.

All serve the atoms of any number of structures at once: structure b has atoms ``offsets[b]`` to ``offsets[b + 1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from keel.atoms.frame import Array
from keel.perturbation.parents import Records

Indices = NDArray[np.int64]


def random_deformations(rng: np.random.Generator, periodic: NDArray[np.bool_], strain: float) -> tuple[Array, Array]:
    """Return a symmetric deformation I + e of each structure, shape (B, 3, 3), and its smallest eigenvalue, (B,).

    The principal strains (eigenvalues of e) are uniform in [-strain, strain], along uniformly random axes, so that no
    length changes by more than the factor 1 +- strain. Structures that are not ``periodic`` (B,) are not deformed.
    """
    from keel.perturbation.kernels import deform

    n = len(periodic)
    # Normal vectors made orthonormal are a uniformly random set of axes, except for their signs, which do not matter
    # here.
    normals = rng.standard_normal((n, 3, 3))
    principal = rng.uniform(-strain, strain, (n, 3))
    deformation, smallest = np.empty((n, 3, 3)), np.empty(n)
    deform(normals, principal, periodic, deformation, smallest)
    return deformation, smallest


def random_steps(rng: np.random.Generator, lengths: Array, offsets: Indices, dtype: DTypeLike = np.float64) -> Array:
    """Return vectors of the ``lengths`` of their structures (B,), uniform over the sphere, shape (N, 3)."""
    from keel.perturbation.kernels import displace

    precision = np.float32 if dtype == np.float32 else np.float64
    normals = rng.standard_normal((int(offsets[-1]), 3), dtype=precision)
    steps = np.empty(normals.shape)
    displace(normals, lengths, offsets, steps)
    return steps


class Chosen(NamedTuple):
    """Pairs that share no atom: atoms (2, P), structure (P,), vector (P, 3) and bond length (P,) in the parent."""

    atoms: Indices
    structure: Indices
    vectors: Array
    bonds: Array


def choose_pairs(
    rng: np.random.Generator, partners: Sequence[Records], offsets: Indices, fraction: float
) -> tuple[Chosen, Indices]:
    """Let each atom, with probability ``fraction``, choose one of its partners.

    Returns the pairs, and their order by the numbers drawn.
    """
    from keel.perturbation.kernels import choose

    n = int(offsets[-1])
    draws = rng.random((2, n))
    # An atom is in one pair at most.
    most = n // 2 + 1
    chosen = Chosen(np.empty((2, most), np.int64), np.empty(most, np.int64), np.empty((most, 3)), np.empty(most))
    size = 0
    bounds = offsets.tolist()
    for b, choices in enumerate(partners):
        size = choose(draws, fraction, choices, (b, bounds[b], bounds[b + 1]), tuple(chosen), size)
    of_pairs = chosen.structure[:size], chosen.vectors[:size], chosen.bonds[:size]
    kept = Chosen(chosen.atoms[:, :size], *of_pairs)
    return kept, draws[0].take(kept.atoms[0]).argsort()


def set_distances(chosen: Chosen, factors: Array, order: Indices, deformation: Array, displacement: Array) -> Array:
    """Bring pairs to ``factors`` of their bond lengths, by equal moves of both atoms; return the distances (P,).

    The k-th factor belongs to pair ``order[k]``; ``displacement`` (N, 3) is changed.
    """
    from keel.perturbation import kernels

    lengths = np.empty(len(order))
    kernels.set_distances(tuple(chosen), order, factors, deformation, displacement, lengths)
    return lengths
